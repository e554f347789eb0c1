"""Pictures that come at the same time."""

import threading

import pytest
import torch

from robust.serving.together import Together


def test_a_judge_that_fails_tells_everybody_who_waited_and_goes_on():
    begin, sizes = threading.Event(), []

    def judge(images: torch.Tensor) -> list[float]:
        begin.wait(10)
        sizes.append(len(images))
        if images.max() > 1:
            raise ValueError("not in [0, 1]")
        return [float(image.mean()) for image in images]

    together = Together(judge)
    first = together.submit(torch.zeros(1, 2, 2))
    while not together.queue.empty():  # it is being judged; those that follow wait, and come together
        threading.Event().wait(0.01)
    bad, with_it = together.submit(torch.full((1, 2, 2), 2.0)), together.submit(torch.ones(1, 2, 2))
    begin.set()
    assert first.result(10) == 0
    for waited in (bad, with_it):
        with pytest.raises(ValueError, match="not in"):
            waited.result(10)
    assert together.submit(torch.full((1, 2, 2), 0.5)).result(10) == 0.5
    assert sizes == [1, 2, 1]
