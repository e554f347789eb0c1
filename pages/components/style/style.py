"""The look that the theme in .streamlit/config.toml cannot express: tight margins, the verdict, pixel-true pictures."""

import base64
import io

import streamlit as st
from PIL import Image

CSS = """
<style>
/* one screen at 1366x768: no boilerplate, little margin */
.stMainBlockContainer { padding: 4.1rem 1.5rem 1rem; max-width: 1500px; }
.stAppDeployButton, .stMainMenu { display: none; }
[data-testid="stVerticalBlock"] { gap: 0.55rem; }

.verdict { display: flex; align-items: center; gap: 1rem; border-radius: 8px; padding: .35rem .9rem;
           border: 3px solid currentColor; min-height: 6.2rem; }
.verdict .digit { font-size: 5rem; font-weight: 800; line-height: 1; font-variant-numeric: tabular-nums; }
.verdict .digit.name { font-size: 2.3rem; max-width: 45%; overflow-wrap: break-word; }
.verdict .word { font-size: 1.55rem; font-weight: 700; line-height: 1.15; }
.verdict .why { font-size: 1.05rem; color: var(--verdict-ink); line-height: 1.25; }
.reliable { color: light-dark(#0B6BCB, #5AA9FF); }
.unreliable { color: light-dark(#C2410C, #FF9A5C); }
.waiting { color: light-dark(#475569, #94A3B8); }
.verdict .why, .scores { color: light-dark(#0F172A, #F1F5F9); }

.pictures { display: flex; gap: .8rem; }
.pictures figure { margin: 0; flex: 1; min-width: 0; max-width: 11rem; }
.pictures img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #000; border-radius: 6px; }
.pictures img.pixels { image-rendering: pixelated; }
.pictures figcaption { font-size: .85rem; padding-top: .1rem; }

.bars { display: grid; grid-template-columns: repeat(10, 1fr); gap: .25rem; height: 7.2rem; align-items: end; }
.bars div { display: flex; flex-direction: column; justify-content: end; height: 100%; text-align: center;
            font-size: .8rem; font-variant-numeric: tabular-nums; }
.bars i { display: block; background: light-dark(#94A3B8, #64748B); border-radius: 3px 3px 0 0; min-height: 2px; }
.bars .top i { background: light-dark(#0F172A, #F1F5F9); }
.bars b { font-weight: inherit; }
.bars .top { font-weight: 800; }
.bars.lying, .place .bars.lying { display: block; height: auto; }
.bars.lying div { flex-direction: row; justify-content: start; align-items: center; gap: .4rem; height: 1.15rem; }
.bars.lying b { order: -2; flex: 0 0 6.5rem; text-align: right; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.bars.lying i { order: -1; height: .8rem; flex: none; min-width: 2px; border-radius: 0 3px 3px 0; }

.scores { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 1rem; }
.scores th, .scores td { text-align: right; padding: .12rem .3rem; border-bottom: 1px solid light-dark(#CBD5E1, #334155); }
.scores th:first-child, .scores td:first-child { text-align: left; }
.scores thead th { font-weight: 500; font-size: .85rem; }
@media (max-width: 640px) { .stMainBlockContainer { padding: 4.1rem .8rem 2rem; } .verdict .digit { font-size: 4rem; } }
</style>
"""


def apply_style() -> None:
    """Once per run, before the page. `light-dark()` follows the theme that the viewer chose."""
    scheme = "dark" if st.context.theme.type == "dark" else "light"
    st.html(CSS + f"<style>:root {{ color-scheme: {scheme}; }}</style>")


def as_data_url(image: Image.Image) -> str:
    """A picture as text that HTML can show without a server."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
