"""Any classifier as the guard needs it: images in, logits out, with gradients where there are some."""

import threading

import numpy as np
import torch
from torch import Tensor, nn

ALIKE = 0.02  # probabilities this near to each other are the same answer


class AnyClassifier:
    """Images (N, channels, size, size) in [0, 1] to logits (N, classes), from whatever classifies.

    - a torch module is put into evaluation mode, and called on the device of its parameters;
    - anything with `predict_proba` (scikit-learn) gets a numpy array (N, channels * size * size), float32;
    - any other callable gets the tensor, on the CPU.

    Outputs may be tensors, arrays or lists. They are taken as probabilities when every row is non-negative and sums
    to 1, and as logits otherwise; this is decided once, by `probe`.
    """

    def __init__(self, classifier, gives_probabilities: bool = False, has_gradients: bool = False):
        if not (callable(classifier) or hasattr(classifier, "predict_proba")):
            raise ValueError(
                f"The classifier ({type(classifier).__name__}) can neither be called with images nor has it "
                "predict_proba: give a torch module, a scikit-learn classifier with probabilities, or a function."
            )
        self.classifier = classifier
        self.gives_probabilities, self.has_gradients = gives_probabilities, has_gradients
        self.device = torch.device("cpu")
        if isinstance(classifier, nn.Module):
            classifier.eval()
            self.device = next((parameter.device for parameter in classifier.parameters()), self.device)

    @classmethod
    def probe(cls, classifier, images: Tensor) -> "AnyClassifier":
        """Try a classifier on images (N, channels, size, size), at least 16, and find out what it gives.

        Raises ValueError when it fails on them, when its output does not fit, when it answers the same images
        differently a second time, and when it answers all of them with one class.
        """
        wrapped = cls(classifier)
        try:
            with torch.no_grad():
                outputs = torch.cat([wrapped._output(part) for part in images.split(256)])
                again = wrapped._output(images[:8])
        except UnfitOutput:
            raise
        except Exception as error:  # whatever the caller's classifier raises
            raise ValueError(
                f"The classifier failed on images of shape {tuple(images.shape[1:])} (channels, height, width), floats "
                f"from 0 to 1: {type(error).__name__}: {error}"
            ) from error
        sums = outputs.sum(1)
        wrapped.gives_probabilities = bool((outputs >= 0).all() and ((sums - 1).abs() < 1e-3).all())
        first, second = (wrapped._logits(part).softmax(1) for part in (outputs[:8], again))
        if not torch.allclose(first, second, rtol=0, atol=ALIKE):
            raise ValueError(
                "The classifier answers the same images differently a second time, in a smaller batch: switch off "
                "dropout and whatever else is random or depends on the batch (evaluation mode)."
            )
        classes = outputs.argmax(1).unique()
        if len(classes) == 1:
            raise ValueError(
                f"The classifier answers class {int(classes)} to all of {len(images)} test images, so there is nothing "
                "to guard. Does it expect another scale than floats from 0 to 1? Do the test images show one class only?"
            )
        wrapped.has_gradients = wrapped.finds_gradients(images[:16])
        return wrapped

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, classes), float32 on the CPU. Raises UnfitOutput for an output that does not fit."""
        return self._logits(self._output(images))

    @property
    def head(self) -> nn.Linear | None:
        """The last fully connected layer of a torch module; None where there is none."""
        modules = self.classifier.modules() if isinstance(self.classifier, nn.Module) else ()
        return next((module for module in reversed([*modules]) if isinstance(module, nn.Linear)), None)

    def features(self, images: Tensor) -> Tensor:
        """What enters the `head` for images (N, channels, size, size): (N, features). For black boxes, their pixels."""
        if self.head is None:
            return images.flatten(1)
        caught, thread = [], threading.get_ident()

        def catch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if threading.get_ident() == thread:  # others may use the classifier at the same time
                caught.append(inputs[0])

        hook = self.head.register_forward_pre_hook(catch)
        try:
            self._output(images)
        finally:
            hook.remove()
        return caught[-1].flatten(1).float().cpu()

    def finds_gradients(self, images: Tensor) -> bool:
        """Whether a gradient of the output reaches the images (N, channels, size, size)."""
        with torch.enable_grad():
            images = images.clone().requires_grad_()
            try:
                logits = self(images)
                weighted = (logits * torch.arange(logits.shape[1])).sum()  # a plain sum may be constant
                (gradient,) = torch.autograd.grad(weighted, images, allow_unused=True)
            except Exception:  # a black box may fail in any way when it is asked for gradients
                return False
        return gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any())

    def _logits(self, output: Tensor) -> Tensor:
        # softmax(log p) = p
        return output.clamp_min(torch.finfo(torch.float32).tiny).log() if self.gives_probabilities else output

    def _output(self, images: Tensor) -> Tensor:
        if hasattr(self.classifier, "predict_proba"):
            output = self.classifier.predict_proba(images.flatten(1).numpy())
        else:
            output = self.classifier(images.to(self.device))
        try:
            output = torch.as_tensor(output).float().cpu()
        except (TypeError, ValueError, RuntimeError):
            raise UnfitOutput(f"gives a {type(output).__name__}, which is no array of numbers") from None
        if output.ndim != 2 or len(output) != len(images):
            raise UnfitOutput(f"gives shape {tuple(output.shape)} for {len(images)} images")
        if output.shape[1] < 2:
            raise UnfitOutput("gives one number for each image; for two classes give both, such as 1 - p and p")
        if not output.isfinite().all():
            raise UnfitOutput("gives values that are not numbers (NaN or infinite)")
        return output


class UnfitOutput(ValueError):
    """The classifier's output is not what the guard needs."""

    def __init__(self, what: str):
        super().__init__(
            f"The classifier {what}. It must give logits or probabilities of shape (N, classes) for N images."
        )


def same_answers(expected: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Which of N answers, as probabilities (N, classes), agree: bool (N,)."""
    if expected.shape != given.shape:
        return np.zeros(len(expected), bool)
    return np.abs(expected - given).max(1) <= ALIKE
