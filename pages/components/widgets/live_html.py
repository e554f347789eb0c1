"""HTML that changes twice a second. `st.html` would do, but it strips SVG."""

from pathlib import Path

import streamlit as st

_HTML = "<div class='shown'></div><div class='spoken' role='status'></div>"
_CSS = ".spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }"
_JS = (
    Path(__file__).with_name("markup.js").read_text(encoding="utf-8")
    + """
export default function ({ data, parentElement }) {
  parentElement.querySelector(".shown").replaceChildren(...nodesOf(data.html))
  const spoken = parentElement.querySelector(".spoken")
  if (spoken.textContent !== data.spoken) spoken.textContent = data.spoken
}
"""
)
_LIVE = st.components.v2.component("robust_live_html", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


def live_html(html: str, spoken: str, key: str) -> None:
    """Show HTML, with SVG in it, under the page's styles. Screen readers say `spoken` when it changes."""
    _LIVE(data={"html": html, "spoken": spoken}, key=key)
