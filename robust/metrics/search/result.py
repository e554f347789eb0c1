"""What every search returns."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class SearchResult:
    """For a batch of N inputs.

    start (N, latent): I(x), where the search began. z_star (N, latent): the nearest counterexample found; I(x) itself
    where the class already differs, or where none is within reach. delta_z (N,): |z* - I(x)|₂, 0 or ∞ in those two cases.
    reached (N,): the class at z*, -1 where none is within reach. evaluations (N,): generator calls
    spent, a backward pass counted as one more.
    """

    start: Tensor
    z_star: Tensor
    delta_z: Tensor
    reached: Tensor
    evaluations: Tensor
