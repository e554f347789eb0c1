"""A gallery of pictures one can click or reach with the Tab key (Streamlit's own pictures cannot be clicked)."""

import streamlit as st

_HTML = "<div class='gallery' role='group'></div>"
_CSS = """
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(var(--gallery, 58px), 1fr)); gap: 6px; }
@media (max-width: 640px) { .gallery { max-height: 17rem; overflow-y: auto; } } /* the verdict below stays in sight */
button { padding: 3px; border: 2px solid var(--st-border-color); border-radius: var(--st-base-radius);
  background: var(--st-background-color); color: var(--st-text-color); cursor: pointer; font: inherit; }
button:hover { border-color: var(--st-primary-color); }
button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
button[aria-pressed=true] { border-color: var(--st-primary-color); background: var(--st-secondary-background-color); }
img { width: 100%; aspect-ratio: 1; object-fit: contain; display: block; border-radius: 4px; image-rendering: pixelated;
  outline: 1px solid var(--st-border-color); outline-offset: -1px; }
span { display: block; font-size: var(--gallery-text, max(11px, .7rem)); line-height: 1.2; overflow-wrap: anywhere; }
button[aria-pressed=true] span { font-weight: 700; }
"""
_JS = """
export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const root = parentElement.querySelector(".gallery")
  const signature = data.pictures.map(picture => picture.name).join("|") + data.version
  if (root.dataset.signature !== signature) {
    root.dataset.signature = signature
    root.replaceChildren(...data.pictures.map(({ name, caption, url }) => {
      const button = document.createElement("button")
      button.type = "button"
      button.dataset.name = name
      button.title = caption
      const image = document.createElement("img")
      image.src = url
      image.alt = ""
      const label = document.createElement("span")
      label.textContent = caption
      button.append(image, label)
      return button
    }))
  }
  root.setAttribute("aria-label", data.label)
  for (const button of root.children) {
    button.setAttribute("aria-pressed", button.dataset.name === data.chosen)
    button.onclick = () => setTriggerValue("picked", button.dataset.name)
  }
}
"""

_GALLERY = st.components.v2.component("robust_gallery", html=_HTML, css=_CSS, js=_JS)


def gallery(
    label: str, pictures: list[tuple[str, str, str]], chosen: str | None, key: str, version: str = ""
) -> str | None:
    """Show (name, caption, data URL) pictures as buttons; the name just clicked, or None.

    `version` changes when the pictures behind the same names do.
    """
    data = {
        "label": label,
        "chosen": chosen,
        "version": version,
        "pictures": [{"name": name, "caption": caption, "url": url} for name, caption, url in pictures],
    }
    return _GALLERY(data=data, key=key, on_picked_change=lambda: None).picked
