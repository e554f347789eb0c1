"""Classifiers of all kinds answer the guard alike, and are left as they were."""

import copy
import pickle
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from torch import nn
from torchvision import models

from robust import Guard
from robust.data.examples import samples
from robust.models.classifier import AnyClassifier, UnfitOutput

IMAGES = samples()["mnist_images"].float() / 255


@pytest.fixture(scope="module")
def lenet():
    return Guard.load().classifier


def steady(value):
    """An output of 2 classes that depends on the image alone."""
    return lambda images: value(images.flatten(1).float().mean(1))


class Keras:
    """A callable as Keras has them: channels last, and tensors that are not torch's."""

    def __init__(self, lenet):
        self.lenet = lenet

    def __call__(self, images):
        assert images.shape[3] == 1, "expected channels last"
        found = self.lenet(images.movedim(3, 1)).detach().numpy()
        return SimpleNamespace(numpy=lambda: found, ndim=2)


class KerasOnTorch(nn.Module):
    """A Keras model where torch is its backend: a torch module, channels last."""

    def __init__(self, lenet):
        super().__init__()
        self.lenet = lenet

    def forward(self, images):
        assert images.shape[3] == 1, "expected channels last"
        return self.lenet(images.movedim(3, 1))


class Session:
    """What ONNX Runtime's InferenceSession shows of itself."""

    def __init__(self, lenet, shape):
        self.lenet, self.shape = lenet, shape

    def get_inputs(self):
        return [SimpleNamespace(name="pixels", shape=self.shape)]

    def run(self, outputs, feed):
        array = feed["pixels"]
        assert array.dtype == np.float32 and self.shape[0] in ("N", len(array))
        images = torch.from_numpy(array)
        return [self.lenet(images if self.shape[1] == 1 else images.movedim(3, 1)).detach().numpy()]


class HuggingFace(nn.Module):
    def __init__(self, lenet):
        super().__init__()
        self.net = lenet

    def forward(self, pixel_values):
        return SimpleNamespace(logits=self.net(pixel_values), hidden_states=None)


KINDS = {
    "object with logits": HuggingFace,
    "dict with logits": lambda net: lambda images: {"logits": net(images)},
    "tuple that begins with them": lambda net: lambda images: (net(images), torch.zeros(3)),
    "probabilities of two digits": lambda net: lambda images: net(images).softmax(1).mul(100).round().div(100),
    "numpy": lambda net: lambda images: net(images).detach().numpy(),
    "Keras": Keras,
    "Keras on torch": KerasOnTorch,
    "ONNX Runtime": lambda net: Session(net, ["N", 1, 28, 28]),
    "ONNX Runtime, channels last": lambda net: Session(net, ["N", 28, 28, 1]),
    "ONNX Runtime, three at a time": lambda net: Session(net, [3, 1, 28, 28]),
    "list of rows": lambda net: lambda images: [*net(images)],
    "of arrays": lambda net: lambda array: net(torch.from_numpy(array.transpose(0, 3, 1, 2).copy())).detach().numpy(),
    "double precision": lambda net: copy.deepcopy(net).double(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_classifiers_answer_alike(lenet, kind):
    expected = lenet(IMAGES).softmax(1)
    classifier = AnyClassifier.probe(KINDS[kind](lenet), IMAGES)
    assert torch.allclose(classifier(IMAGES).softmax(1), expected, atol=0.012)  # of two digits
    again = AnyClassifier(KINDS[kind](lenet), **classifier.settings())
    assert torch.equal(again(IMAGES), classifier(IMAGES))


def test_one_column_is_the_second_of_two_classes():
    for given, p in [
        (steady(lambda level: torch.sigmoid(40 * level - 5)), lambda level: torch.sigmoid(40 * level - 5)),
        (steady(lambda level: (40 * level - 5)[:, None]), lambda level: torch.sigmoid(40 * level - 5)),
    ]:
        found = AnyClassifier.probe(given, IMAGES)(IMAGES).softmax(1)
        assert torch.allclose(found[:, 1], p(IMAGES.flatten(1).mean(1)), atol=1e-5)


def test_labels_alone_become_certain_answers():
    ridge = RidgeClassifier().fit(IMAGES.flatten(1).numpy(), samples()["mnist_labels"].numpy() + 5)
    classifier = AnyClassifier.probe(ridge, IMAGES)
    assert classifier.gives_probabilities
    assert (classifier(IMAGES).argmax(1).numpy() + 5 == ridge.predict(IMAGES.flatten(1).numpy())).all()
    assert classifier.settings()["classes"] == list(range(5, 15))


def test_what_the_output_is_can_be_said():
    def shares(images):
        return images.flatten(1)[:, 300:310].sigmoid()

    with pytest.raises(ValueError, match='say so: output="logits"'):
        AnyClassifier.probe(shares, IMAGES)
    assert not AnyClassifier.probe(shares, IMAGES, "logits").gives_probabilities
    with pytest.raises(UnfitOutput, match=r"gives shape \(200, 2, 5\) for 200 images"):
        AnyClassifier.probe(lambda images: images.flatten(1)[:, :10].unflatten(1, (2, 5)), IMAGES)


def test_outputs_that_would_be_taken_for_something_else():
    with pytest.raises(UnfitOutput, match="gives values from -.* which are no probabilities"):
        AnyClassifier.probe(steady(lambda mean: torch.stack([mean, -mean], 1)), IMAGES, "probabilities")
    with pytest.raises(UnfitOutput, match="gives per cents. Divide them by 100"):
        AnyClassifier.probe(steady(lambda mean: 100 * torch.stack([mean, 1 - mean], 1)), IMAGES)
    with pytest.raises(UnfitOutput, match="gives labels"):
        AnyClassifier.probe(steady(lambda mean: (10 * mean).round()), IMAGES)


def test_a_sigmoid_that_is_exactly_1_for_an_image_is_no_label():
    classifier = AnyClassifier.probe(lambda images: (400 * (images.flatten(1).mean(1) - 0.13)).sigmoid(), IMAGES)
    white = torch.ones(1, 1, 28, 28)
    assert classifier.classifier(white) == 1 and classifier(white).argmax(1) == 1


def test_the_classes_of_labels_alone_are_taken_from_all_images():
    class Rare:
        def predict(self, rows):
            return np.where(rows.sum(1) == 0, 7, np.where(rows.mean(1) > 0.13, 1, 0))

    images = torch.cat([IMAGES, IMAGES, torch.zeros(1, 1, 28, 28)])
    assert AnyClassifier.probe(Rare(), images).classes == [0, 1, 7]


def test_a_layer_left_over_from_the_training_is_not_taken_for_the_last():
    class WithAux(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.top, self.aux = nn.Linear(784, 4), nn.Linear(4, 3, bias=False), nn.Linear(4, 9)

        def forward(self, images):
            return self.top(self.body(images.flatten(1)))

    torch.manual_seed(0)
    classifier = AnyClassifier.probe(WithAux(), IMAGES)
    assert classifier.head.out_features == 3 and classifier.features(IMAGES).shape == (200, 4)
    assert AnyClassifier(WithAux(), **classifier.settings()).head.out_features == 3


def test_the_callers_module_is_left_as_it_was_and_cannot_change_the_answers():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 24 * 24, 3))
    net[0].eval()
    modes, before = [m.training for m in net.modules()], copy.deepcopy(net.state_dict())
    classifier = AnyClassifier.probe(net, IMAGES)
    first = classifier(IMAGES)
    assert [m.training for m in net.modules()] == modes
    net.train()
    net(IMAGES)
    nn.init.zeros_(net[4].weight)
    assert torch.equal(classifier(IMAGES), first)
    assert all(torch.equal(classifier.module.state_dict()[key], value) for key, value in before.items())


def test_one_that_cannot_be_copied_is_put_back_after_each_call():
    class Unique(nn.Module):
        def __init__(self):
            super().__init__()
            self.lock, self.dropout, self.last = threading.Lock(), nn.Dropout(), nn.Linear(784, 3)

        def forward(self, images):
            return self.last(self.dropout(images.flatten(1)))

    net = Unique().train()
    classifier = AnyClassifier.probe(net, IMAGES)
    assert torch.equal(classifier(IMAGES), classifier(IMAGES))
    assert net.training and net.dropout.training


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_0", "vit_b_16"])
def test_features_and_layers_of_known_architectures(name):
    torch.manual_seed(0)
    size = 224 if name == "vit_b_16" else 64
    images = torch.rand(3, 3, size, size)
    classifier = AnyClassifier(models.get_model(name, weights=None, num_classes=5))
    together = classifier.features(images)
    assert together.ndim == 2 and len(together) == 3 and together.shape[1] > 100
    assert torch.allclose(classifier.features(images[1:2])[0], together[1], rtol=1e-4, atol=1e-4)
    assert classifier.layer(images, 0.0).ndim == 4


def test_features_may_be_named(lenet):
    named = AnyClassifier(lenet, features_of="features.3")
    assert named.features(IMAGES).shape == (200, 32)  # maps, averaged
    given = AnyClassifier(lenet, features=lambda images: images.flatten(1)[:, :7])
    assert given.features(IMAGES).shape == (200, 7)
    assert AnyClassifier(lambda images: images).features(torch.rand(2, 3, 224, 224)).shape == (2, 3 * 32 * 32)


def test_one_pass_serves_all_who_ask_for_a_batch_and_none_after_it_was_written_into(lenet):
    classifier, passes = AnyClassifier(lenet), []
    classifier.module.register_forward_hook(lambda *_: passes.append(1))
    images = IMAGES[:8].clone()
    with torch.no_grad():
        logits, features = classifier(images), classifier.features(images)
        assert classifier(images) is logits and len(passes) == 1
        images.zero_()
        assert not torch.equal(classifier.features(images), features)
        assert torch.allclose(classifier(images), classifier.module(images), atol=1e-5)


def test_threads_do_not_see_each_others_features(lenet):
    classifier = AnyClassifier(lenet)
    expected, wrong = [classifier.features(part).clone() for part in IMAGES.split(20)], []

    def work(part):
        for _ in range(20):
            if not torch.allclose(classifier.features(IMAGES.split(20)[part].clone()), expected[part], atol=1e-4):
                wrong.append(part)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_it_travels_between_processes(lenet):
    classifier = AnyClassifier.probe(lenet, IMAGES)
    classifier.features(IMAGES[:2])
    assert torch.equal(pickle.loads(pickle.dumps(classifier))(IMAGES), classifier(IMAGES))


def test_a_device_is_where_images_are_sent(lenet, monkeypatch):
    """There is no GPU here: the "meta" device, which computes nothing, stands for one."""
    classifier, sent = AnyClassifier(lenet, device="meta"), []
    monkeypatch.setattr(
        classifier.module, "forward", lambda images: sent.append(images.device.type) or lenet(IMAGES[:4])
    )
    assert classifier(IMAGES[:4]).device.type == "cpu"
    assert sent == ["meta"]
    assert next(lenet.parameters()).device.type == "cpu"  # the caller's own stays where it is
