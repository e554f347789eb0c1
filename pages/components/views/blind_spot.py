"""The note on a comparison set that the VAE explains better than its own test set."""

import streamlit as st

from pages.components.session.session import default_guard, guard_subject, set_title
from robust.evaluation.blind_spots import blind_spot


def show_blind_spot(comparison: str) -> None:
    """Say so where the VAE loss is blind to a set, and which metrics survive, at the default thresholds."""
    guard = default_guard()
    found = blind_spot(guard.reference, guard.scores[comparison], guard.rule)
    if found is None:
        return
    titles = {name: metric.title for name, metric in guard.metrics.items()}
    name, good = set_title(comparison), guard_subject().plural
    shares = ", ".join(f"{titles[metric]} **{share:.1%}**" for metric, share in found.accepted.items())
    survivors = " and ".join(titles[metric] for metric in found.survivors)
    verdict = f"✓ What survives: {survivors}." if survivors else "⊘ No metric refuses most of them."
    st.warning(
        f"**Low VAE loss is no proof.** This VAE explains {name} better than the {good} it was trained on: median "
        f"**{found.median:.1f}** nats against **{found.reference_median:.1f}**. Accepted of {name} at the default "
        f"thresholds: {shares}. {verdict}  \n*The failure of Nalisnick et al., ICLR 2019.*",
        icon=":material/visibility_off:",
    )
