"""The nets compute what their layers say, though some layers take a faster way there."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from robust import Guard
from robust.data import datasets
from robust.data.examples import samples
from robust.models.nets import Generator, LeNet, crop_from_canvas, pad_to_canvas


@pytest.fixture(scope="module")
def world():
    return Guard.load()


def plain_lenet(net: LeNet, images):
    """LeNet from torch's own layers, in the order of the paper: convolution, ReLU, pooling."""
    first, second = (layer for layer in net.features if isinstance(layer, nn.Conv2d))
    hidden, last = net.features[8], net.head[1]
    pooled = F.max_pool2d(F.relu(F.conv2d(pad_to_canvas(images), first.weight, first.bias)), 2)
    pooled = F.max_pool2d(F.relu(F.conv2d(pooled, second.weight, second.bias)), 2)
    return last(F.relu(hidden(pooled.flatten(1))))


def test_lenet_and_its_gradient_are_those_of_plain_layers(world):
    images = datasets.to_float(samples()["mnist_images"][:20]).requires_grad_()
    net = world.contents.nets["lenet"]
    logits, plain = net(images), plain_lenet(net, images)
    assert torch.allclose(logits, plain, atol=1e-5)
    gradients = (torch.autograd.grad(answers.logsumexp(1).sum(), images)[0] for answers in (logits, plain))
    assert torch.allclose(*gradients, atol=1e-5)


def test_lenet_still_learns():
    net = LeNet()
    net(torch.rand(2, 1, 28, 28)).sum().backward()
    assert all(weights.grad is not None and weights.grad.any() for weights in net.parameters())


@pytest.mark.parametrize("channels", [1, 3])
def test_the_generators_last_layer_is_a_transposed_convolution(channels):
    net = Generator(channels=channels)
    latents = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    last = net.layers[-2]
    before = net.layers[:-2](latents)
    plain = F.conv_transpose2d(before, last.weight, last.bias, stride=2, padding=1).sigmoid()
    assert torch.allclose(net(latents), crop_from_canvas(plain, 28), atol=1e-6)
