"""A picture with a box around each thing in it, to be clicked, touched or reached with the Tab key."""

from collections.abc import Sequence

import streamlit as st
from PIL import Image

from pages.components.style.style import as_data_url

_HTML = "<div class='marked' role='group'><img alt=''></div>"
_CSS = """
.marked { position: relative; width: fit-content; max-width: 100%; }
img { display: block; width: 100%; max-width: 100%; border-radius: var(--st-base-radius); }
button { position: absolute; box-sizing: border-box; min-width: 24px; min-height: 24px; padding: 0; cursor: pointer;
  border: 3px solid var(--reliable); border-radius: 4px; background: transparent; font: 700 .8rem/1.3 var(--st-font);
  box-shadow: 0 0 0 1px var(--paper), inset 0 0 0 1px var(--paper); }
span { position: absolute; bottom: 100%; left: -3px; padding: 0 .35rem; border-radius: 4px 4px 0 0; white-space: nowrap;
  background: var(--reliable); color: var(--paper); }
button[data-high] span { bottom: auto; top: 100%; border-radius: 0 0 4px 4px; } /* above it the picture ends */
button:hover { background: color-mix(in srgb, var(--reliable) 18%, transparent); }
button[aria-pressed=true] { outline: 3px solid var(--reliable); }
button:focus-visible { outline: 3px solid var(--ink); outline-offset: 3px; }
button[aria-pressed=true] span::after { content: " ✓"; }
"""
_JS = """
export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".marked")
  const [image, ...old] = root.children
  root.setAttribute("aria-label", data.label)
  if (root.dataset.version !== data.version) {
    root.dataset.version = data.version
    image.src = data.url
    old.forEach((button) => button.remove())
    root.append(...data.boxes.map(([left, top, width, height], i) => {
      const button = document.createElement("button")
      button.type = "button"
      button.setAttribute("aria-label", `${data.noun} ${i + 1}`)
      Object.assign(button.style, { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` })
      button.toggleAttribute("data-high", top < 10)
      const number = document.createElement("span")
      number.textContent = i + 1
      button.append(number)
      return button
    }))
  }
  ;[...root.children].slice(1).forEach((button, i) => {
    button.setAttribute("aria-pressed", i === data.chosen)
    button.onclick = () => setTriggerValue("picked", i)
  })
}
"""

_MARKED = st.components.v2.component("robust_marked_picture", html=_HTML, css=_CSS, js=_JS)
ROOM = 0.02  # of the picture's longer side, between a thing and its box


def marked_picture(
    label: str,
    picture: Image.Image,
    boxes: Sequence[tuple[int, int, int, int]],
    noun: str,
    chosen: int | None,
    key: str,
    version: str,
) -> int | None:
    """Show an RGB picture and a button on each box (left, top, right, bottom, in its pixels); the place of the box just
    clicked, or None.

    noun: what the boxes hold, for screen readers. `version` changes when the picture does.
    """
    width, height = picture.size
    room = ROOM * max(picture.size)
    places = []
    for left, top, right, bottom in boxes:
        left, top = max(0, left - room), max(0, top - room)
        right, bottom = min(width, right + room), min(height, bottom + room)
        places.append(
            [100 * left / width, 100 * top / height, 100 * (right - left) / width, 100 * (bottom - top) / height]
        )
    data = {"label": label, "url": as_data_url(picture), "boxes": places, "noun": noun, "chosen": chosen}
    picked = _MARKED(data=data | {"version": version}, key=key, on_picked_change=lambda: None).picked
    return None if picked is None else int(picked)
