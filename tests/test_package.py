"""The package as others get it: what the wheel holds, and that it works where only what it requires is installed."""

import json
import os
import subprocess
import sys
from importlib import metadata
from importlib.metadata import Distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import robust
from robust import Guard
from robust.data.examples import FOLDER

REPOSITORY = Path(__file__).parents[1]
NOT_REQUIRED = ("streamlit", "plotly", "ray", "foolbox", "pytorch_ood", "sklearn", "pytest")
PARTS = ("robust.room", "robust.evaluation.room", "robust.serving.http")  # of optional parts, `room` and `serve`
EVERYTHING = """
import importlib, json, pkgutil, robust
for module in pkgutil.walk_packages(robust.__path__, "robust."):
    if module.name != "robust.__main__" and not module.name.startswith(%r):  # the first runs the command line
        importlib.import_module(module.name)
print(json.dumps({name: importlib.util.find_spec(name) is not None for name in %r}))
print(json.dumps(robust.Guard.load().inspect("chicken.png").as_json()))
""" % (PARTS, NOT_REQUIRED)


def pip(*arguments) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, REPOSITORY)
    return next(folder.glob("*.whl"))


def required_by(package: Distribution) -> list[Distribution]:
    """What a package requires, with all that this requires in turn, as installed here."""
    todo, seen, found = [(package, frozenset())], set(), {}
    while todo:
        distribution, extras = todo.pop()
        for requirement in map(Requirement, distribution.requires or []):
            wanted = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in extras | {""}
            )
            key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
            if wanted and key not in seen:
                seen.add(key)
                found[key[0]] = metadata.distribution(requirement.name)
                todo.append((found[key[0]], key[1]))
    return list(found.values())


@pytest.fixture(scope="module")
def fresh(wheel, tmp_path_factory) -> Path:
    """bin/ of a new environment with the wheel and what it requires, and nothing else.

    What it requires is linked from the environment of the tests: torch alone is several GB.
    """
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip("--python", folder / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
    packages = next(folder.glob("lib/python*/site-packages"))
    (package,) = metadata.distributions(name="robust-guard", path=[str(packages)])
    for distribution in required_by(package):
        for name in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (packages / name).exists():  # nvidia/ belongs to several
                (packages / name).symlink_to(distribution.locate_file(name))
    return folder / "bin"


def run(*command, cwd: Path) -> str:
    """Standard output of a command that knows nothing of the checkout."""
    hidden = ("PYTHONPATH", "ROBUST_WEIGHTS", "ROBUST_DATA")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    result = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_wheel_holds_the_library_and_the_shipped_weights_and_nothing_else(wheel):
    names = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "robust", cwd=REPOSITORY).splitlines()
    weights = run("git", "ls-files", "weights", cwd=REPOSITORY).splitlines()
    shipped = [f"robust/{file}" for file in weights]
    assert names == {*filter(lambda file: (REPOSITORY / file).is_file(), files), *shipped}
    assert {"robust/py.typed", "robust/data/examples/chicken.png", "robust/evaluation/published.json"} < names
    assert wheel.name.startswith(f"robust_guard-{robust.__version__}-")
    assert any(name.endswith("/licenses/LICENSE") for name in ZipFile(wheel).namelist())


def test_every_requirement_is_met_in_the_fresh_environment(fresh):
    pip("--python", fresh / "python", "check")


def test_without_the_optional_parts_everything_imports_and_judges_as_here(fresh, tmp_path):
    (tmp_path / "chicken.png").symlink_to(FOLDER / "chicken.png")
    optional, report = run(fresh / "python", "-c", EVERYTHING, cwd=tmp_path).splitlines()
    assert not any(json.loads(optional).values())
    assert json.loads(report) == Guard.load().inspect(FOLDER / "chicken.png").as_json()


def test_the_command_robust_scores_and_reports(fresh, tmp_path):
    (tmp_path / "chicken.png").symlink_to(FOLDER / "chicken.png")
    row = json.loads(run(fresh / "robust", "score", "chicken.png", cwd=tmp_path))
    assert row["path"] == "chicken.png" and not row["reliable"]
    assert "34.40%" in run(fresh / "robust", "report", cwd=tmp_path)
