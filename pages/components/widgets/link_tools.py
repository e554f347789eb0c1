"""Copy this page's link, put the thresholds back; and one entry of the browser's history for a page.

Streamlit makes a new entry whenever the link changes, so that "back" would undo one drag after the other.
"""

import streamlit as st

_JS = """
function onePageOneEntry() {
  if (globalThis.robustHistory) return
  globalThis.robustHistory = true
  const push = history.pushState.bind(history)
  history.pushState = (state, unused, url) => {
    const stays = url && new URL(url, location.href).pathname === location.pathname
    return stays ? history.replaceState(state, unused, url) : push(state, unused, url)
  }
}

// Only https and this machine itself have navigator.clipboard.
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  const field = Object.assign(document.createElement("textarea"), { value: text })
  document.body.append(field)
  field.select()
  document.execCommand("copy")
  field.remove()
}

export default function ({ data, parentElement, setTriggerValue }) {
  onePageOneEntry()
  const root = parentElement.querySelector(".link-tools")
  if (!root) return
  const [copies, resets] = root.querySelectorAll("button")
  copies.onclick = async () => {
    await copy(location.href)
    copies.textContent = "✓ Link copied"
    setTimeout(() => (copies.textContent = "Copy link"), 2000)
  }
  resets.disabled = !data.moved
  resets.onclick = () => setTriggerValue("reset", Math.random())
}
"""
_CSS = """
.link-tools { display: flex; flex-wrap: wrap; gap: .5rem; font-family: var(--st-font); }
button { min-height: 2.2rem; padding: 0 .8rem; border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius);
  background: var(--st-background-color); color: var(--st-text-color); font: inherit; font-size: .95rem; cursor: pointer; }
button:hover:not(:disabled) { border-color: var(--st-primary-color); }
button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
button:disabled { opacity: .6; cursor: default; }
@media (pointer: coarse) { button { min-height: 44px; } }
"""
_HTML = "<div class='link-tools'><button type='button'>Copy link</button><button type='button'>Reset thresholds</button></div>"
_TOOLS = st.components.v2.component("robust_link_tools", html=_HTML, css=_CSS, js=_JS)
_HISTORY = st.components.v2.component("robust_history", js=_JS)


def link_tools(moved: bool, key: str) -> bool:
    """Two buttons; True when "Reset thresholds" was pressed. `moved`: whether there is anything to put back."""
    return _TOOLS(data={"moved": moved}, key=key, on_reset_change=lambda: None).reset is not None


def one_entry_a_page() -> None:
    """Once on every page."""
    _HISTORY(data={}, key="history")
