"""Guards fitted end to end: a random forest on grey digits, a small CNN on tinted ones. Minutes: pytest -m slow

Trained on MNIST where ROBUST_DATA has it, else on the shipped digits, shifted and turned a little.
"""

import os

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn
from torch.nn import functional as F

from robust import Guard
from robust.data import datasets, patterns
from robust.data.augment import augment
from robust.data.datasets import to_float
from robust.data.examples import samples

pytestmark = pytest.mark.slow
PUBLISHED = ("delta_z", "vae_loss")  # with nets, which Guard.fit trains


def digits() -> tuple[Tensor, Tensor]:
    """2,000 digits (N, 1, 28, 28) in [0, 1] and their labels: 1,600 to train on, 300 to test on, 100 unseen."""
    if os.environ.get("ROBUST_DATA"):
        images, labels = datasets.load("mnist", train=True)
        return to_float(images[:2000]), labels[:2000]
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    images, labels = (samples()[f"mnist_{name}"][order].repeat_interleave(10, 0) for name in ("images", "labels"))
    return augment(to_float(images), torch.Generator().manual_seed(0)), labels


def tinted(images: Tensor) -> Tensor:
    """Grey images (N, 1, 28, 28) to coloured ones (N, 3, 32, 32), every one in a bright colour of its own."""
    colours = 0.5 + 0.5 * torch.rand(len(images), 3, generator=torch.Generator().manual_seed(0))
    return F.pad(images, (2, 2, 2, 2)) * colours[:, :, None, None]


def check(guard: Guard, fresh: Tensor, nonsense: dict[str, Tensor]) -> None:
    """Unseen good images are refused about as often as was chosen (5 %), nonsense nearly always."""
    refused = np.mean([not report.reliable for report in guard.inspect_prepared(fresh)])
    assert refused <= 0.13  # 5 % of 100 images, and three standard errors
    for name, images in nonsense.items():
        refused = np.mean([not report.reliable for report in guard.inspect_prepared(images)])
        assert refused >= 0.8, name


def test_a_random_forest():
    images, labels = digits()
    forest = RandomForestClassifier(20, random_state=0).fit(images[:1600].flatten(1).numpy(), labels[:1600])
    guard = Guard.fit(forest, images[:1600], images[1600:1900], metrics=PUBLISHED, steps=150, rule="vae_loss")
    assert not guard.classifier.has_gradients
    assert len(guard.reference["delta_z"]) == 300
    clothes = to_float(samples()["fashion_images"][::4])
    check(guard, images[1900:], {"clothes": clothes, "noise": patterns.noise(40)})


def test_a_small_colour_cnn():
    images, labels = digits()
    images = tinted(images)
    torch.manual_seed(0)
    cnn = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 5, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(400, 10),
    )
    adam = torch.optim.Adam(cnn.parameters(), lr=3e-3)
    for step in range(200):
        indices = torch.randint(1600, (64,), generator=torch.Generator().manual_seed(step))
        loss = F.cross_entropy(cnn(images[indices]), labels[indices])
        adam.zero_grad()
        loss.backward()
        adam.step()
    guard = Guard.fit(cnn, images[:1600], images[1600:1900], metrics=PUBLISHED, steps=150, rule="vae_loss")
    assert guard.classifier.has_gradients
    clothes = tinted(to_float(samples()["fashion_images"][::4]))
    noise = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    check(guard, images[1900:], {"clothes": clothes, "noise": noise})
