"""Encode, then refine: from I(x) to the nearest latent, close by, whose image the classifier reads as x itself.

An inverter draws x again with an error. Where x lies near a boundary of the classifier, that error may carry the drawing over
it; δz is then 0 for the inverter's sake and not for the input's. A few steps back, no longer than REACH, undo that, and leave
alone what is drawn as something else altogether.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from robust.metrics.search.gradient import padded

REACH = 0.075  # of the latent, whose entries are standard normal
STEPS = 4
BEYOND = 0.02  # aim a little into the class: its logit ahead by so much


def towards_agreement(
    classifier: Callable[[Tensor], Tensor], generator: Callable[[Tensor], Tensor], latents: Tensor, labels: Tensor
) -> Tensor:
    """Latents (N, latent) of which each is moved by at most REACH so that argmax f(G(z)) is its label (N,), where it is not
    and where that is within reach; the others as they are. Newton's steps, as in DeepFool, the other way round."""
    with torch.no_grad():
        there = classifier(generator(padded(latents)))[: len(latents)].argmax(1)
    away = (there != labels).nonzero().squeeze(1)
    if not len(away):
        return latents
    moved = _moved(classifier, generator, latents[away], labels[away])
    refined = latents.clone()
    refined[away] = moved
    return refined


@torch.enable_grad()
def _moved(classifier: Callable, generator: Callable, starts: Tensor, labels: Tensor) -> Tensor:
    starts = starts.clone()  # of inference mode
    points, arrived = starts, torch.zeros(len(starts), dtype=torch.bool)
    for step in range(STEPS + 1):
        rows = padded(points.detach()).requires_grad_()
        logits = classifier(generator(rows))[: len(points)]
        own = logits.gather(1, labels[:, None]).squeeze(1)
        lead = own - logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        arrived = lead.detach() > 0
        if step == STEPS or arrived.all():
            break
        gradient = torch.autograd.grad(lead.sum(), rows)[0][: len(points)]
        length = (BEYOND - lead.detach()) / gradient.norm(dim=1).clamp_min(1e-9)
        way = gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1e-9)
        further = points + length.clamp(0, REACH)[:, None] * way
        points = torch.where(arrived[:, None], points, within_reach(further, starts))
    return torch.where(arrived[:, None], points, starts).detach()


def within_reach(points: Tensor, starts: Tensor) -> Tensor:
    """Points (N, latent), those farther than REACH from their start brought back to that distance."""
    offset = points - starts
    return starts + offset * (REACH / offset.norm(dim=1, keepdim=True).clamp_min(1e-9)).clamp_max(1)
