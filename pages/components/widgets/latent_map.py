"""A map of the latent plane in which the way from I(x) to z* lies, to play on: drag the handle, and see what G draws there.

All pictures of the plane travel once, in one sheet, so that nothing waits for Python while the handle moves.
"""

from pathlib import Path

import numpy as np
import streamlit as st

_HERE = Path(__file__).parent
_MAP = st.components.v2.component(
    "robust_latent_map",
    css=(_HERE / "latent_map.css").read_text(encoding="utf-8"),
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("hand.js", "latent_map.js")),
)


def latent_map(
    *,
    sheet: str,
    classes: np.ndarray,
    places: np.ndarray,
    delta_z: float,
    names: dict[int, str],
    prediction: int,
    label: str,
    digits: int,
    key: str,
) -> None:
    """Show the map.

    sheet: data URL of the S by S pictures, row by row. classes: (S, S), what the classifier reads in each.
    places: (S,), the coordinates of columns and of rows. names: what people call the classes.
    prediction: what the classifier reads in the input itself.
    label: what the handle moves, for screen readers. digits: decimals of a length.
    """
    data = {
        "sheet": sheet,
        "classes": classes.tolist(),
        "places": [float(place) for place in places],
        "delta_z": float(delta_z),
        "names": {str(label): names[label] for label in names},
        "prediction": int(prediction),
        "label": label,
        "digits": digits,
    }
    _MAP(data=data, key=key)
