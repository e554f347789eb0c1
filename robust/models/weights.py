"""Where the trained worlds lie."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def weights_folder() -> Path:
    """The folder that ROBUST_WEIGHTS names; else the shipped one, inside the package or, in a checkout, beside it."""
    inside = PACKAGE / "weights"
    shipped = inside if inside.is_dir() else PACKAGE.parent / "weights"
    return Path(os.environ.get("ROBUST_WEIGHTS") or shipped)


WEIGHTS = weights_folder()
