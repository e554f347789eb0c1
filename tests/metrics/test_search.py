"""The searches, on a problem whose answer is known and on the shipped nets."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from robust import Guard
from robust.data import datasets
from robust.data.examples import samples
from robust.metrics.search import nearest_counterexample
from robust.metrics.search.refine import REACH, towards_agreement
from robust.metrics.search.stochastic import hybrid_search, iterative_search


@pytest.fixture(scope="module")
def world():
    return Guard.load()


@pytest.fixture(scope="module")
def problem(world):
    """LeNet's answers to 60 digits, and their latents."""
    images = datasets.to_float(samples()["mnist_images"][::10][:60])
    with torch.inference_mode():
        return world.contents.nets["inverter"](images).clone(), world.contents.nets["lenet"](images).argmax(1).clone()


def linear(weights):
    """A classifier of two classes on 'images' that are the latents themselves."""
    return lambda images: torch.stack([torch.zeros(len(images)), images.flatten(1) @ weights - 1], 1)


def identity(latents):
    return latents.view(len(latents), 1, 1, -1)


@pytest.mark.parametrize("search", [nearest_counterexample, iterative_search, hybrid_search])
def test_finds_the_known_distance_to_a_hyperplane(search):
    weights = torch.tensor([0.6, 0.8])
    latents, labels = torch.tensor([[0.0, 0.0], [-0.6, -0.8]]), torch.tensor([0, 0])
    result = search(linear(weights), identity, latents, labels)
    assert result.delta_z.tolist() == pytest.approx([1.0, 2.0], rel=0.01)
    assert result.reached.tolist() == [1, 1]


@pytest.mark.parametrize("search", [nearest_counterexample, iterative_search, hybrid_search])
def test_zero_where_the_class_already_differs_and_infinite_where_none_is_in_reach(search):
    weights = torch.tensor([0.6, 0.8])
    latents, labels = torch.tensor([[3.0, 3.0], [-60.0, -80.0]]), torch.tensor([0, 0])
    result = search(linear(weights), identity, latents, labels, radius=1.0)
    assert result.delta_z.tolist() == [0.0, float("inf")]
    assert result.reached.tolist() == [1, -1]
    assert torch.equal(result.z_star, latents)


def test_every_z_star_is_classified_otherwise_and_lies_at_delta_z(world, problem):
    latents, labels = problem
    result = nearest_counterexample(world.contents.nets["lenet"], world.contents.nets["generator"], latents, labels)
    found = result.delta_z.isfinite()
    assert found.all()
    with torch.inference_mode():
        classes = world.contents.nets["lenet"](world.contents.nets["generator"](result.z_star)).argmax(1)
    assert (classes != labels).all()
    assert torch.equal(classes, result.reached)
    assert torch.allclose((result.z_star - latents).norm(dim=1), result.delta_z, atol=1e-5)
    with torch.inference_mode():
        agrees = world.contents.nets["lenet"](world.contents.nets["generator"](latents)).argmax(1) == labels
    assert torch.equal(result.delta_z == 0, ~agrees)


def test_batch_size_and_order_do_not_matter(world, problem):
    latents, labels = problem
    nets = world.contents.nets["lenet"], world.contents.nets["generator"]
    together = nearest_counterexample(*nets, latents, labels).delta_z
    backwards = nearest_counterexample(*nets, latents.flip(0), labels.flip(0)).delta_z.flip(0)
    alone = torch.cat([nearest_counterexample(*nets, z[None], y[None]).delta_z for z, y in zip(latents[:12], labels)])
    assert torch.allclose(together, backwards, atol=1e-4)
    assert torch.allclose(together[:12], alone, atol=1e-4)


def test_never_farther_than_the_published_search(world, problem):
    latents, labels = problem[0][:4], problem[1][:4]
    nets = world.contents.nets["lenet"], world.contents.nets["generator"]
    ours = nearest_counterexample(*nets, latents, labels)
    published = hybrid_search(*nets, latents, labels, samples=1000)
    assert (ours.delta_z <= published.delta_z + 1e-4).all()
    assert (ours.evaluations < published.evaluations).all()


def test_a_random_forest_has_a_delta_z_too(world):
    images, labels = samples()["mnist_images"], samples()["mnist_labels"]
    forest = RandomForestClassifier(50, random_state=0).fit(images.flatten(1).numpy() / 255, labels.numpy())

    def classifier(batch):
        return torch.from_numpy(forest.predict_proba(batch.flatten(1).numpy()))

    digits = datasets.to_float(images[:3])
    with torch.inference_mode():
        latents = world.contents.nets["inverter"](digits).clone()
    claimed = classifier(digits).argmax(1)
    result = hybrid_search(classifier, world.contents.nets["generator"], latents, claimed, samples=500)
    with torch.inference_mode():
        assert (classifier(world.contents.nets["generator"](result.z_star)).argmax(1) != claimed).all()


def test_visitors_at_once_and_any_number_of_threads_find_the_same(problem, world):
    latents, labels = problem
    usual = torch.get_num_threads()

    def search(part):
        with torch.no_grad():
            found = nearest_counterexample(
                world.contents.nets["lenet"], world.contents.nets["generator"], latents[part], labels[part]
            )
        return found.delta_z, torch.get_num_threads()

    alone, _ = search(slice(None))
    with ThreadPoolExecutor(2) as visitors:
        for found, threads in visitors.map(search, [slice(None), slice(None)]):
            assert torch.equal(found, alone)
            assert threads == usual
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found, counted = search(slice(None))
            assert torch.equal(found, alone)
            assert counted == threads == torch.get_num_threads()
    finally:
        torch.set_num_threads(usual)


def test_threads_that_start_during_a_search_have_torchs_own_number(problem, world):
    latents, labels = problem
    nets, usual, seen, done = (
        (world.contents.nets["lenet"], world.contents.nets["generator"]),
        torch.get_num_threads(),
        [],
        Event(),
    )
    nearest_counterexample(*nets, latents[:2], labels[:2])  # the search's own threads run from now on

    def visitors_come():
        while not done.is_set():
            visitor = Thread(target=lambda: seen.append(torch.get_num_threads()))
            visitor.start()
            visitor.join()

    try:
        torch.set_num_threads(3)  # unlike any number that a search sets
        coming = Thread(target=visitors_come)
        coming.start()
        nearest_counterexample(*nets, latents, labels)
    finally:
        done.set()
        coming.join()
        torch.set_num_threads(usual)
    assert set(seen) == {3}


# --- Where the search begins ---------------------------------------------------------------------------------------


def test_refining_crosses_a_boundary_that_is_close_and_leaves_the_rest_alone():
    weights = torch.tensor([0.6, 0.8])  # class 1 begins at a distance of 1
    near, far, right = [0.6 + 0.024, 0.8 + 0.032], [1.2, 1.6], [0.3, 0.4]
    latents, labels = torch.tensor([near, far, right]), torch.zeros(3, dtype=torch.int64)
    found = towards_agreement(linear(weights), identity, latents, labels)
    assert torch.equal(found[1:], latents[1:])
    assert found[0] @ weights < 1 and (found[0] - latents[0]).norm() < REACH


def test_refined_latents_agree_and_are_near_and_depend_on_no_other(world):
    metric = world.metrics["delta_z"]
    images = datasets.to_float(torch.cat([samples()["mnist_images"][::4], samples()["fashion_images"]]))
    with torch.inference_mode():
        predictions = world.contents.nets["lenet"](images).argmax(1).clone()
        inverse = metric.inverter(images)
        before = metric.classifier(metric.generator(inverse)).argmax(1) == predictions
    found, agrees = metric.latents(images, predictions), torch.from_numpy(metric.agrees(images, predictions))
    moved = (found - inverse).norm(dim=1)
    assert (moved <= REACH + 1e-5).all() and (moved[before] < 1e-5).all()
    assert (agrees >= before).all() and agrees.sum() > before.sum()
    some = (agrees & ~before).nonzero()[:3, 0]
    for place in some:
        alone = metric.latents(images[place : place + 1], predictions[place : place + 1])
        assert torch.allclose(alone[0], found[place], atol=1e-5)
