"""What the metrics did with one input, step by step: for pages and notebooks that explain a score."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from robust.data.datasets import to_float
from robust.metrics import DeltaZ
from robust.models.nets import VAE

PLANE_BATCH = 256
AT_ONCE = 256  # training images whose floats stay in the processor's cache: ten times as fast as all of them together


@dataclass(frozen=True)
class Walk:
    """The straight way in latent space from I(x) to z* and a little beyond, as P points.

    fractions (P,): 0 at I(x), 1 at z*. latents (P, latent), images (P, channels, size, size) = G(latents) and
    probabilities (P, classes) = softmax f(G(latents)). delta_z: |z* - I(x)|₂. flip: the position among the points
    of z*, where the class first differs from f(x), `reached` being that class.

    Where δz is 0 (f(G(I(x))) ≠ f(x) already) the only point is I(x), and flip is 0. Where no other class is within
    reach δz is ∞, the only point is I(x), and flip and reached are None.
    """

    fractions: Tensor
    latents: Tensor
    images: Tensor
    probabilities: Tensor
    delta_z: float
    flip: int | None
    reached: int | None

    @property
    def z_star(self) -> Tensor | None:
        return None if self.flip is None else self.latents[self.flip]

    @property
    def classes(self) -> list[int]:
        """The class read at each point."""
        return self.probabilities.argmax(1).tolist()


def walk(metric: DeltaZ, pixels: Tensor, prediction: int, steps: int = 48, beyond: int = 12) -> Walk:
    """Search z* for one prepared image and follow the way there.

    `pixels` (channels, size, size) in [0, 1], `prediction` is f(x). `steps` equal steps lead from I(x) to z*, and
    `beyond` more past it, so that P = steps + beyond + 1.
    """
    found = metric.search_again(pixels, prediction)
    delta_z, reached = float(found.delta_z[0]), int(found.reached[0])
    moves = 0 < delta_z < float("inf")
    fractions = torch.arange(steps + beyond + 1 if moves else 1) / steps
    with torch.no_grad():
        latents = torch.lerp(found.start, found.z_star, fractions.unsqueeze(1))  # unlike a sum, exact at both ends
        images = metric.generator(latents)
        probabilities = metric.classifier(images).softmax(1)
    flip = None if delta_z == float("inf") else steps if moves else 0
    return Walk(fractions, latents, images, probabilities, delta_z, flip, None if flip is None else reached)


@dataclass(frozen=True)
class VAEParts:
    """Where the VAE loss of one image comes from, in nats.

    reconstruction (channels, size, size) in [0, 1]; loss_map (size, size): each pixel's Bernoulli cross-entropy,
    summed over channels; reconstruction_loss: their sum; kl: the divergence of q(z|x) from the prior.
    """

    reconstruction: Tensor
    loss_map: Tensor
    reconstruction_loss: float
    kl: float

    @property
    def loss(self) -> float:
        return self.reconstruction_loss + self.kl


@torch.no_grad()
def vae_parts(vae: VAE, pixels: Tensor) -> VAEParts:
    """Split the VAE loss of one prepared image, `pixels` (channels, size, size) in [0, 1], latent = mean as scored."""
    image = pixels.unsqueeze(0)
    reconstruction_loss, kl = vae.losses(image)
    logits = vae.decode(vae.encode(image)[0])
    loss_map = F.binary_cross_entropy_with_logits(logits, image, reduction="none")
    return VAEParts(logits.sigmoid()[0], loss_map[0].sum(0), float(reconstruction_loss), float(kl))


@dataclass(frozen=True)
class Neighbours:
    """The K training images nearest to one image, nearest first.

    images (K, channels, size, size) in [0, 1]; labels (K,) int64; distances (K,): |x - neighbour|₂ over the pixels.
    """

    images: Tensor
    labels: Tensor
    distances: Tensor


def nearest_training_images(training: Mapping[str, Tensor], pixels: Tensor, count: int = 4) -> Neighbours:
    """The nearest to one prepared image `pixels` of a guard's training images, as `Contents` keeps them."""
    parts = training["images"].split(AT_ONCE)
    distances = torch.cat([(to_float(part) - pixels).flatten(1).norm(dim=1) for part in parts])
    nearest = distances.argsort(stable=True)[:count]
    return Neighbours(to_float(training["images"][nearest]), training["labels"][nearest], distances[nearest])


@dataclass(frozen=True)
class LatentPlane:
    """A plane of the latent space through I(x), as a square grid of S by S points around it.

    places (S,): coordinates of the grid's columns, and of its rows, in lengths of latent space; 0 is I(x). along, across
    (latent,): the plane's unit directions; along leads to z*. classes (S, S) int64, classes[row, column] is the class read at
    row's place across and column's place along; images (S, S, channels, size, size) = G there. delta_z: |z* - I(x)|₂, the
    radius of the circle in which nothing was found to flip.
    """

    places: Tensor
    along: Tensor
    across: Tensor
    classes: Tensor
    images: Tensor
    delta_z: float


def latent_plane(metric: DeltaZ, way: Walk, prediction: int, side: int = 31, reach: float = 3.0) -> LatentPlane | None:
    """Look at the plane in which the way to z* lies; None where δz is 0 or ∞, and there is no way.

    The second direction is where another class's logit gains most on that of f(x) at I(x), less its part along the way: of
    all planes through the way the one in which the border bends nearest. `side`, odd, points each way reach `reach` times δz.
    """
    if way.z_star is None or not 0 < way.delta_z < float("inf"):
        return None
    start = way.latents[0]
    along = F.normalize(way.z_star - start, dim=0)
    across = _steepest_across(metric, start, along, prediction)
    places = torch.linspace(-reach, reach, side) * way.delta_z
    places[side // 2] = 0.0
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    latents = start + columns.reshape(-1, 1) * along + rows.reshape(-1, 1) * across
    with torch.no_grad():
        images = torch.cat([metric.generator(part) for part in latents.split(PLANE_BATCH)])
        classes = torch.cat([metric.classifier(part).argmax(1) for part in images.split(PLANE_BATCH)])
    return LatentPlane(
        places, along, across, classes.reshape(side, side), images.unflatten(0, (side, side)), way.delta_z
    )


def _steepest_across(metric: DeltaZ, start: Tensor, along: Tensor, prediction: int) -> Tensor:
    """A unit direction at right angles to `along`."""
    across = torch.zeros_like(along)
    if metric.has_gradients:
        with torch.enable_grad():
            latent = start.clone().unsqueeze(0).requires_grad_()
            logits = metric.classifier(metric.generator(latent))[0]
            others = logits.clone()
            others[prediction] = -torch.inf
            # The second best of the others: the best one's gradient mostly leads along.
            rival = others.topk(min(2, len(others) - 1)).indices[-1]
            (gradient,) = torch.autograd.grad(logits[rival] - logits[prediction], latent)
        across = gradient[0] - (gradient[0] @ along) * along
    if across.norm() < 1e-6:  # a classifier without gradients: any direction will do, the same each time
        axis = F.one_hot(along.abs().argmin(), len(along)).to(along)
        across = axis - (axis @ along) * along
    return F.normalize(across, dim=0)
