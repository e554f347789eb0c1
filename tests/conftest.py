from pathlib import Path

import pytest
from browser import address, chromium, page, visit  # noqa: F401  (fixtures)
from tiny_worlds import make_worlds


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A folder with three worlds: see tiny_worlds.py."""
    return make_worlds(tmp_path_factory.mktemp("worlds") / "weights")
