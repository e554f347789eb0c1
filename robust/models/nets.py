"""The nets of the published demo: LeNet, VAE, and WGAN with its inverter; and the verifier and the orienter beside them.

Every net takes and gives images as float tensors of shape (N, channels, size, size) with values in
[0, 1], ink bright on black. The convolutional nets work on a canvas whose side is the next multiple
of 16 (28 becomes 32, as published): they pad on the way in and crop on the way out, so that no
caller needs to know.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robust.data.changes import WAYS_UP


def canvas_side(size: int) -> int:
    """Side of the square the convolutional nets work on: `size` rounded up to a multiple of 16."""
    return -(-size // 16) * 16


def pad_to_canvas(images: Tensor) -> Tensor:
    """(N, C, size, size) to (N, C, canvas, canvas), with black added evenly around."""
    size = images.shape[-1]
    missing = canvas_side(size) - size
    before, after = missing // 2, missing - missing // 2
    return F.pad(images, (before, after, before, after))


def crop_from_canvas(images: Tensor, size: int) -> Tensor:
    """Undo `pad_to_canvas`."""
    start = (images.shape[-1] - size) // 2
    return images[..., start : start + size, start : start + size]


class _FixedConvolution(torch.autograd.Function):
    """A convolution (stride 1, no padding) whose weights need no gradient: a matrix product leads back to the image.

    For an image of one channel that takes a third of the time of torch's own way back on a CPU.
    """

    @staticmethod
    def forward(ctx, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.image_shape = images.shape
        return F.conv2d(images, weight, bias)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        patches = weight.flatten(1).t() @ gradient.flatten(2)
        return F.fold(patches, ctx.image_shape[2:], weight.shape[2:]), None, None


class _FirstConvolution(nn.Conv2d):
    """The same numbers as nn.Conv2d; gradients of the image arrive faster once the weights are fixed."""

    def forward(self, images: Tensor) -> Tensor:
        if self.weight.requires_grad:
            return super().forward(images)
        return _FixedConvolution.apply(images, self.weight, self.bias)


class _LastTransposedConvolution(nn.ConvTranspose2d):
    """The same numbers as nn.ConvTranspose2d: a matrix product and a fold, twice as fast for one output channel."""

    def forward(self, features: Tensor) -> Tensor:
        side = 2 * features.shape[-1]
        patches = self.weight.flatten(1).t() @ features.flatten(2)
        folded = F.fold(patches, (side, side), self.kernel_size, padding=self.padding, stride=self.stride)
        return folded + self.bias[:, None, None]


class _SteadyLinear(nn.Linear):
    """The same numbers as nn.Linear, however few rows there are: some CPUs round products of fewer than 16 rows otherwise."""

    def forward(self, rows: Tensor) -> Tensor:
        missing = 16 - len(rows)
        if missing <= 0:
            return super().forward(rows)
        return super().forward(F.pad(rows, (0, 0, 0, missing)))[: len(rows)]


class LeNet(nn.Module):
    """LeCun et al. (1998): two convolutions with max-pooling, two fully connected layers.

    Images (N, channels, size, size) to logits (N, classes).
    """

    def __init__(self, channels: int = 1, size: int = 28, classes: int = 10, width: int = 16):
        super().__init__()
        pooled = ((canvas_side(size) - 4) // 2 - 4) // 2
        # Pooling before the ReLU gives the same values as after it, from a quarter of the work.
        self.features = nn.Sequential(
            _FirstConvolution(channels, width, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            _SteadyLinear(2 * width * pooled**2, 8 * width),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.5), _SteadyLinear(8 * width, classes))

    def penultimate(self, images: Tensor) -> Tensor:
        """Images to the features before the last layer, (N, 8 * width)."""
        return self.features(pad_to_canvas(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.penultimate(images))


class Verifier(nn.Module):
    """Ten yes-no questions, "is this a proper 0, 1, ... 9?": four 3x3 convolutions and one fully connected layer.

    Images (N, channels, size, size) to logits (N, classes), one sigmoid each: unlike LeNet's softmax it can say no to
    every class.
    """

    def __init__(self, channels: int = 1, size: int = 28, classes: int = 10, width: int = 16):
        super().__init__()
        layers, before = [], channels
        for after, pool in ((width, True), (2 * width, False), (4 * width, True), (4 * width, True)):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if pool else []
            before = after
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(4 * width * (size // 8) ** 2, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class Orienter(Verifier):
    """The verifier's layers for one question with many answers: which class is it, which way up, or is it none of them?

    Images (N, channels, size, size) to logits (N, classes * len(WAYS_UP) + 1), one softmax over all: the
    first class in each of the WAYS_UP, the second, ..., and none of them at last.
    """

    def __init__(self, channels: int = 1, size: int = 28, classes: int = 10, width: int = 16):
        super().__init__(channels, size, classes * len(WAYS_UP) + 1, width)


class VAE(nn.Module):
    """Kingma & Welling (2014): two fully connected layers each way, Bernoulli pixels, Gaussian latent."""

    def __init__(self, channels: int = 1, size: int = 28, latent: int = 20, width: int = 400):
        super().__init__()
        self.shape = (channels, size, size)
        pixels = channels * size * size
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, pixels))

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images to mean and log-variance of q(z|x), each (N, latent)."""
        return self.encoder(images).chunk(2, dim=1)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, latent) to logits of the pixels, shaped like the images."""
        return self.decoder(latents).unflatten(1, self.shape)

    def forward(self, images: Tensor) -> Tensor:
        """The deterministic reconstruction (latent = mean), values in [0, 1]."""
        return self.decode(self.encode(images)[0]).sigmoid()

    def losses(self, images: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Reconstruction and KL terms in nats, each summed over one image: two tensors (N,).

        `noise` (N, latent), standard normal, samples the latent as in training; without it the
        latent is the mean, which makes scoring repeatable.
        """
        mean, log_variance = self.encode(images)
        latents = mean if noise is None else mean + noise * (0.5 * log_variance).exp()
        pixels = F.binary_cross_entropy_with_logits(self.decode(latents), images, reduction="none")
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        return pixels.flatten(1).sum(1), kl.sum(1)


def _strided_convolutions(channels: int, width: int, activation: nn.Module) -> nn.Sequential:
    """Four 4x4 convolutions of stride 2; the side shrinks 16 times, the channels end at 8 * width."""
    layers = []
    for before, after in zip((channels, width, 2 * width, 4 * width), (width, 2 * width, 4 * width, 8 * width)):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), activation]
    return nn.Sequential(*layers, nn.Flatten())


class Generator(nn.Module):
    """Latents (N, latent) to images: one fully connected layer, four transposed convolutions, sigmoid."""

    def __init__(self, channels: int = 1, size: int = 28, latent: int = 32, width: int = 16):
        super().__init__()
        self.size, self.latent = size, latent
        side = canvas_side(size) // 16
        layers = [_SteadyLinear(latent, 8 * width * side**2), nn.ReLU(), nn.Unflatten(1, (8 * width, side, side))]
        for before, after in ((8 * width, 4 * width), (4 * width, 2 * width), (2 * width, width)):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        layers += [_LastTransposedConvolution(width, channels, 4, stride=2, padding=1), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        return crop_from_canvas(self.layers(latents), self.size)


class Critic(nn.Module):
    """Images to one score each, (N,): four convolutions of stride 2, one fully connected layer."""

    def __init__(self, channels: int = 1, size: int = 28, width: int = 16):
        super().__init__()
        side = canvas_side(size) // 16
        self.layers = nn.Sequential(
            _strided_convolutions(channels, width, nn.LeakyReLU(0.2)), nn.Linear(8 * width * side**2, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(pad_to_canvas(images)).squeeze(1)


class Inverter(nn.Module):
    """Images to latents (N, latent): four convolutions of stride 2, two fully connected layers."""

    def __init__(self, channels: int = 1, size: int = 28, latent: int = 32, width: int = 32):
        super().__init__()
        side = canvas_side(size) // 16
        self.layers = nn.Sequential(
            _strided_convolutions(channels, width, nn.ReLU()),
            _SteadyLinear(8 * width * side**2, 16 * width),
            nn.ReLU(),
            _SteadyLinear(16 * width, latent),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(pad_to_canvas(images))
