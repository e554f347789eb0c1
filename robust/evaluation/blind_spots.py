"""The famous failure of likelihoods: nonsense that the VAE explains better than what it was trained on.

Nalisnick et al., *Do Deep Generative Models Know What They Don't Know?* (ICLR 2019): models of Fashion-MNIST find MNIST
digits more likely than clothes, since a digit is mostly black, and black is easy to explain.
"""

from dataclasses import dataclass

import numpy as np

from robust.decision.rule import Rule, Scores

LIKELIHOOD = "vae_loss"


@dataclass(frozen=True)
class BlindSpot:
    """Median VAE loss of the comparison set and of the reference set, in nats, and by metric the share accepted, 0..1."""

    median: float
    reference_median: float
    accepted: dict[str, float]

    @property
    def survivors(self) -> list[str]:
        """The metrics that refuse most of the set all the same."""
        return [name for name, share in self.accepted.items() if share < 0.5]


def blind_spot(reference: Scores, comparison: Scores, rule: Rule) -> BlindSpot | None:
    """What the metrics make of a comparison set whose median VAE loss is below the reference set's; else None.

    `reference` (N,) and `comparison` (M,) hold each metric's scores; `rule` has the thresholds.
    """
    if LIKELIHOOD not in rule.sides:
        return None
    medians = [float(np.median(scores[LIKELIHOOD])) for scores in (comparison, reference)]
    if medians[0] >= medians[1]:
        return None
    return BlindSpot(*medians, {name: float((~mask).mean()) for name, mask in rule.refusals(comparison).items()})
