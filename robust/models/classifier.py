"""Any classifier as the guard needs it: images in, logits out, with gradients and a view of its inside where there are some."""

import copy
import threading
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robust.data.datasets import batch_for

ALIKE = 0.02  # probabilities this near to each other are the same answer
LONGEST = 32  # side of the pixels that stand in for features
SETTINGS = (
    "gives_probabilities",
    "has_gradients",
    "layout",
    "arrays",
    "single",
    "classes",
    "features_of",
    "last",
    "own_features",
)
UNSTEADY = (
    "The classifier answers the same images differently a second time, in a smaller batch: switch off dropout and "
    "whatever else is random or depends on the batch (evaluation mode)."
)
NO_LABELS = "Give its logits or probabilities, (N, classes), or an object with predict."
HINT = "It must give logits or probabilities of shape (N, classes) for N images."

Output = Literal["logits", "probabilities"]


class AnyClassifier:
    """Images (N, channels, size, size) in [0, 1] to logits (N, classes), from whatever classifies.

    - a torch module: a private copy in evaluation mode, so that neither training nor a switch back to train mode changes
      the guard's answers, and the caller's module is left as it was. (One that cannot be copied is used itself, in
      evaluation mode during each call.) `Guard.refit` takes later weights.
    - anything with `predict_proba` (scikit-learn), or `predict` alone, gets an array (N, channels * size * size), float32,
      whose pixels come in the order of `layout`;
    - an ONNX Runtime session gets an array float32, in the layout of its input, in batches as large as it asks for;
    - any other callable gets the tensor; one that fails on it gets it as (N, size, size, channels), as Keras wants it, or as
      an array of either kind.

    Outputs may be tensors, arrays, lists, objects or dicts with `logits`, or tuples that begin with them. One column is the
    second of two classes. `probe` finds out what they are, and `settings` keeps it.
    """

    def __init__(
        self,
        classifier,
        gives_probabilities: bool = False,
        has_gradients: bool = False,
        layout: Literal["NCHW", "NHWC"] = "NCHW",
        arrays: bool = False,
        single: bool = False,
        classes: list | None = None,
        features_of: str | None = None,
        last: str | None = None,
        own_features: bool = False,
        features: Callable[[Tensor], Tensor] | None = None,
        device: str | torch.device | None = None,
    ):
        """`layout`, `arrays`: how images are given to what is no torch module. `classes`: the labels of a classifier that has
        `predict` alone. `features_of`: the name of the submodule whose output `features` gives; `last`: that of the fully
        connected layer that gives the output; `features`: a function that gives them, needed where `own_features` says so.
        `device`: where a torch module works.

        Raises ValueError for what is no classifier, and where the device, the submodule or the function is not there.
        """
        if not (callable(classifier) or any(hasattr(classifier, name) for name in ("predict_proba", "predict", "run"))):
            raise ValueError(
                f"The classifier ({type(classifier).__name__}) can neither be called with images nor has it "
                "predict_proba: give a torch module, a scikit-learn classifier with probabilities, or a function."
            )
        self.classifier = classifier
        self.gives_probabilities, self.has_gradients = gives_probabilities, has_gradients
        self.layout, self.arrays, self.single = layout, arrays, single
        self.classes, self.features_of, self.last = classes, features_of, last
        self._features, self.own_features = features, features is not None
        if own_features and features is None:
            raise ValueError("Its features come from a function of yours: give that back, too, as features=...")
        self.module = _private_copy(classifier) if isinstance(classifier, nn.Module) else None
        self.device = _place(self.module, device)
        self._watched = threading.local()
        if features_of is not None and features_of not in dict(self.module.named_modules() if self.module else ()):
            raise ValueError(f"The classifier has no submodule named {features_of} to take features from.")

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_watched"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _watched=threading.local())

    @classmethod
    def probe(cls, classifier, images: Tensor, output: Output | None = None, **options) -> "AnyClassifier":
        """Try a classifier on images (N, channels, size, size), at least 16, and find out what it gives.

        `output` says it where values could be taken for either. `options` are those of the constructor.
        Raises ValueError when it fails on them, when its output does not fit, when it answers the same images
        differently a second time, and when it answers all of them with one class.
        """
        if output not in (None, "logits", "probabilities"):
            raise ValueError(f'output is "logits" or "probabilities", not {output!r}.')
        wrapped, parts = cls(classifier, **options), images.split(batch_for(images))
        with torch.no_grad():
            first = wrapped._find_layout(parts[0])
            if wrapped.classes is not None and not options.get("classes"):  # labels alone, of which some are rare
                wrapped.classes, parts = None, [images]
                first = wrapped._output(images)
            outputs = torch.cat([first, *(wrapped._output(part) for part in parts[1:])])
            again = wrapped._output(images[:8])
            wrapped.last = wrapped._last_called(images[:1])
        if (outputs[:8] - again).abs().max() > ALIKE * outputs.abs().max().clamp_min(1):
            raise ValueError(UNSTEADY)
        wrapped.gives_probabilities = _are_probabilities(outputs, wrapped.single, output)
        first, second = (wrapped._logits(part).softmax(1) for part in (outputs[:8], again))
        if not torch.allclose(first, second, rtol=0, atol=ALIKE):
            raise ValueError(UNSTEADY)
        classes = wrapped._logits(outputs).argmax(1).unique()
        if len(classes) == 1:
            raise ValueError(
                f"The classifier answers class {int(classes)} to all of {len(images)} test images, so there is nothing "
                "to guard. Does it expect another scale than floats from 0 to 1? Do the test images show one class only?"
            )
        wrapped.has_gradients = wrapped.finds_gradients(images[:16])
        return wrapped

    def settings(self) -> dict:
        """What `probe` found out, as JSON knows it: arguments of the constructor."""
        return {name: getattr(self, name) for name in SETTINGS}

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, classes), float32 on the CPU. Raises UnfitOutput for an output that does not fit."""
        is_own_copy = self.module is not self.classifier  # which nobody trains on
        if self._shows_inside and is_own_copy and not torch.is_grad_enabled():
            return self._inside(images)["logits"]
        return self._logits(self._output(images))

    # --- Its inside -----------------------------------------------------------------------------------------------

    @property
    def head(self) -> nn.Linear | None:
        """The last fully connected layer of a torch module; None where there is none."""
        if self.module is None:
            return None
        if self.last is not None:
            return self.module.get_submodule(self.last) if self.last else None
        return next((module for module in reversed([*self.module.modules()]) if isinstance(module, nn.Linear)), None)

    def _last_called(self, images: Tensor) -> str | None:
        """The name of the fully connected layer that is called last, "" where none is: some are left over from training."""
        if self.module is None:
            return None
        called: list[str] = []
        linear = [(name, module) for name, module in self.module.named_modules() if isinstance(module, nn.Linear)]
        hooks = [module.register_forward_hook(lambda *_, name=name: called.append(name)) for name, module in linear]
        try:
            self._output(images)
        finally:
            for hook in hooks:
                hook.remove()
        return called[-1] if called else ""

    @property
    def convolutions(self) -> list[nn.Module]:
        """The convolutions of a torch module, in order."""
        modules = self.module.modules() if self.module else ()
        return [module for module in modules if isinstance(module, nn.Conv2d)]

    @property
    def has_layers(self) -> bool:
        return bool(self.convolutions)

    def features(self, images: Tensor) -> Tensor:
        """What enters the last layer for images (N, channels, size, size), or what was named: (N, features).

        Maps are averaged over their places. For black boxes, the pixels, of larger images shrunk to 32.
        """
        if self._features is not None:
            return torch.as_tensor(self._features(images)).flatten(1).float().cpu()
        if not self._shows_inside:
            small = F.adaptive_avg_pool2d(images, LONGEST) if images.shape[-1] > LONGEST else images
            return small.flatten(1)
        return self._inside(images)["features"]

    def layer(self, images: Tensor, depth: float) -> Tensor:
        """What a convolution gives for images: maps (N, channels, height, width). depth: 0 is the first, 1 the last."""
        return self._inside(images)[_at(depth, self.convolutions)]

    @property
    def _shows_inside(self) -> bool:
        return self.module is not None and bool(self.head or self.convolutions or self.features_of)

    def _inside(self, images: Tensor) -> dict[str | int, Tensor]:
        """Logits, features, and every convolution that `robust.metrics.layers` asks for, of one pass; the last batch of each
        thread is remembered, since several metrics ask for it in turn."""
        version = None if images.is_inference() else images._version  # counts what was written into the same tensor
        if getattr(self._watched, "images", None) is images and self._watched.version == version:
            return self._watched.found
        found: dict[str | int, Tensor] = {}
        thread, convolutions = threading.get_ident(), self.convolutions

        def keep(name: str | int, value: Tensor) -> None:
            if threading.get_ident() == thread:  # others may use the classifier at the same time
                found[name] = value.detach().float().cpu()

        wanted = {_at(depth, convolutions) for depth in (0.0, 0.7)} if convolutions else ()
        hooks = [convolutions[i].register_forward_hook(lambda _, inputs, output, i=i: keep(i, output)) for i in wanted]
        hooks.append(self._hook_features(lambda value: keep("features", value)))
        try:
            with torch.no_grad():
                found["logits"] = self._logits(self._output(images))
        finally:
            for hook in hooks:
                hook.remove()
        if "features" in found:  # not where the module leaves its last layer out
            features = found["features"]
            found["features"] = features.flatten(2).mean(2) if features.ndim == 4 else features.flatten(1)
        self._watched.images, self._watched.version, self._watched.found = images, version, found
        return found

    def _hook_features(self, keep: Callable[[Tensor], None]):
        if self.features_of is not None:
            named = self.module.get_submodule(self.features_of)
            return named.register_forward_hook(lambda _, inputs, output: keep(output))
        last = self.head or self.convolutions[-1]
        return last.register_forward_pre_hook(lambda _, inputs: keep(inputs[0]))

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

    # --- Its output -----------------------------------------------------------------------------------------------

    def _find_layout(self, images: Tensor) -> Tensor:
        """The output for some images; a callable that fails on (N, channels, size, size) is tried the other way round."""
        try:
            return self._output(images)
        except Exception as error:  # whatever the caller's classifier raises
            mistake = error
        if self.module is not None or not hasattr(self.classifier, "predict_proba"):
            for self.layout, self.arrays in (("NHWC", False), ("NCHW", True), ("NHWC", True)):
                try:
                    return self._output(images)
                except Exception:  # the first mistake says more
                    self.layout, self.arrays = "NCHW", False
        if isinstance(mistake, UnfitOutput):
            raise mistake
        raise ValueError(
            f"The classifier failed on images of shape {tuple(images.shape[1:])} (channels, height, width), floats "
            f"from 0 to 1: {type(mistake).__name__}: {mistake}"
        ) from mistake

    def _logits(self, output: Tensor) -> Tensor:
        if not self.gives_probabilities:
            return torch.cat([torch.zeros_like(output), output], 1) if self.single else output
        output = torch.cat([1 - output, output], 1) if self.single else output
        return output.clamp_min(torch.finfo(torch.float32).tiny).log()  # softmax(log p) = p

    def _output(self, images: Tensor) -> Tensor:
        """What the classifier gives, as float32 (N, classes), or (N, 1) where it is single."""
        rows = _as_rows(self._called(images))
        if rows.ndim == 1 and len(rows) == len(images):
            rows = rows.unsqueeze(1)
        if rows.ndim != 2 or len(rows) != len(images) or rows.shape[1] == 0:
            raise UnfitOutput(f"gives shape {tuple(rows.shape)} for {len(images)} images")
        if not rows.isfinite().all():
            raise UnfitOutput("gives values that are not numbers (NaN or infinite)")
        self.single = rows.shape[1] == 1
        return rows

    def _called(self, images: Tensor):
        placed = images if self.layout == "NCHW" else images.movedim(1, 3)
        if self.module is not None:  # Keras on torch, too, whose models are torch modules
            kinds = (parameter.dtype for parameter in self.module.parameters() if parameter.is_floating_point())
            return self._module_called(placed.to(self.device, next(kinds, placed.dtype)))
        if hasattr(self.classifier, "predict_proba"):
            return self.classifier.predict_proba(placed.flatten(1).numpy())
        if hasattr(self.classifier, "get_inputs"):  # ONNX Runtime
            return self._session_called(images)
        if callable(self.classifier):
            return self.classifier(np.ascontiguousarray(placed.numpy()) if self.arrays else placed)
        return self._one_hot(self.classifier.predict(placed.flatten(1).numpy()))

    def _module_called(self, images: Tensor):
        if self.module is not self.classifier:
            return self.module(images)
        modes = {module: module.training for module in self.module.modules()}
        try:
            self.module.eval()
            return self.module(images)
        finally:
            for module, mode in modes.items():
                module.training = mode

    def _session_called(self, images: Tensor) -> np.ndarray:
        wanted = self.classifier.get_inputs()[0]
        turned = len(wanted.shape) == 4 and wanted.shape[3] == images.shape[1] != wanted.shape[1]
        array = np.ascontiguousarray((images.movedim(1, 3) if turned else images).numpy().astype(np.float32))
        batch = wanted.shape[0] if isinstance(wanted.shape[0], int) else len(array)
        parts = [array[start : start + batch] for start in range(0, len(array), batch)]
        rows = [np.resize(part, (batch, *part.shape[1:])) for part in parts]  # the last one filled up
        found = np.concatenate([self.classifier.run(None, {wanted.name: row})[0] for row in rows])
        return found[: len(array)]

    def _one_hot(self, labels) -> Tensor:
        labels = np.asarray(labels)
        if self.classes is None:
            known = getattr(self.classifier, "classes_", None)
            self.classes = np.asarray(known if known is not None else np.unique(labels)).tolist()
        return torch.from_numpy((labels[:, None] == np.asarray(self.classes)[None]).astype(np.float32))


class UnfitOutput(ValueError):
    """The classifier's output is not what the guard needs."""

    def __init__(self, what: str, hint: str = HINT):
        super().__init__(f"The classifier {what}. {hint}")


def same_answers(expected: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Which of N answers, as probabilities (N, classes), agree: bool (N,)."""
    if expected.shape != given.shape:
        return np.zeros(len(expected), bool)
    return np.abs(expected - given).max(1) <= ALIKE


def _at(depth: float, convolutions: list[nn.Module]) -> int:
    return round(depth * (len(convolutions) - 1))


def _private_copy(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose weights ask for no gradients; the module itself where it cannot be copied."""
    try:
        return copy.deepcopy(module).eval().requires_grad_(False)
    except Exception:  # whatever a caller's module holds
        return module


def _place(module: nn.Module | None, device: str | torch.device | None) -> torch.device:
    """Moves the module to the device, if one is named, and says where it is. Raises ValueError where that is not there."""
    if module is None:
        return torch.device("cpu")
    if device is not None:
        try:
            module.to(device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ValueError(f'There is no device "{device}" here: {str(error).splitlines()[0]}') from None
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def _as_rows(output) -> Tensor:
    """The numbers in whatever a classifier gives, float32 on the CPU. Raises UnfitOutput where there are none."""
    if isinstance(output, dict) and "logits" in output:
        output = output["logits"]
    elif hasattr(output, "logits"):
        output = output.logits
    elif isinstance(output, (tuple, list)) and output and hasattr(output[0], "ndim") and output[0].ndim == 2:
        output = output[0]
    if hasattr(output, "numpy") and not isinstance(output, Tensor):
        output = output.numpy()
    if isinstance(output, (tuple, list)) and output and all(isinstance(row, Tensor) for row in output):
        output = torch.stack([row.detach().cpu() for row in output])
    try:
        found = torch.as_tensor(output)
    except (TypeError, ValueError, RuntimeError):
        raise UnfitOutput(f"gives a {type(output).__name__}, which is no array of numbers") from None
    if found.ndim == 1 and not found.is_floating_point():
        raise UnfitOutput("gives labels", NO_LABELS)
    return found.float().cpu()


def _are_probabilities(outputs: Tensor, single: bool, said: Output | None) -> bool:
    """Whether outputs (N, classes), or (N, 1), are probabilities. Raises ValueError where they are of several labels."""
    shares = bool(((outputs >= 0) & (outputs <= 1 + 1e-3)).all())
    if said == "probabilities" and not shares:
        low, high = float(outputs.min()), float(outputs.max())
        raise UnfitOutput(
            f"gives values from {low:.3g} to {high:.3g}, which are no probabilities", 'Say output="logits".'
        )
    if said is not None:
        return said == "probabilities"
    # Of all the images together: a sigmoid may well be exactly 1 for one of them.
    if single and bool((outputs == outputs.round()).all()):
        raise UnfitOutput("gives labels", NO_LABELS)
    if not single and bool((outputs >= 0).all() and ((outputs.sum(1) - 100).abs() < 1).all()):
        raise UnfitOutput("gives per cents", "Divide them by 100.")
    if single or not shares:
        return shares
    sums = outputs.sum(1)
    rounded = next((unit for unit in (0.1, 0.01, 0.001) if _is_rounded(outputs, unit)), 0.0)
    if bool(((sums - 1).abs() <= 5e-3 + rounded * outputs.shape[1] / 2).all()):
        return True
    raise ValueError(
        f"The classifier gives values from 0 to 1 whose rows sum to {float(sums.min()):.2g} to {float(sums.max()):.2g}, as "
        "one sigmoid for each label does: a guard needs one class for each image. If they are something else, say so: "
        'output="logits" or output="probabilities".'
    )


def _is_rounded(values: Tensor, unit: float) -> bool:
    return bool(((values / unit - (values / unit).round()).abs() < 1e-3).all())
