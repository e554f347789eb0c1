"""Training of a baseline's net, the same each time."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

BATCH = 128


def train(
    net: nn.Module, loss: Callable[[Tensor], Tensor], images: Tensor, epochs: int, title: str, weight_decay: float = 0.0
) -> None:
    """Adam on `loss(batch)`, over batches of the images (N, channels, size, size), `epochs` times; the net then evaluates."""
    randomness = torch.Generator().manual_seed(0)
    adam = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=weight_decay)
    net.train()
    for _ in tqdm(range(epochs), desc=f"train {title}"):
        for batch in torch.randperm(len(images), generator=randomness).split(BATCH):
            adam.zero_grad()
            loss(images[batch]).backward()
            adam.step()
    net.eval()
