// The browser's half of pad_tools.py.

const STORED = "robust drawing"
const AFTER_PEN = 20 // ms: the package adds the stroke in the same turn as the pen comes up
const THEIRS = { Undo: "Undo", Redo: "Redo", Clear: "Reset canvas & history", send: "Update the app with this drawing" }
const KEYS = { z: "Undo", y: "Redo" }

const tools = new WeakMap()

export default function (component) {
  const { parentElement } = component
  if (!tools.has(parentElement)) tools.set(parentElement, new Tools(parentElement.querySelector(".tools")))
  const own = tools.get(parentElement)
  own.follow(component)
  return () => {
    own.remove()
    tools.delete(parentElement)
  }
}

class Tools {
  constructor(root) {
    this.root = root
    this.buttons = Object.fromEntries(["Eraser", "Undo", "Redo", "Clear"].map((name) => [name, this.button(name)]))
    root.replaceChildren(...Object.values(this.buttons))
    this.onDown = (event) => (this.drawing = event.composedPath().some((node) => node.matches?.(".upper-canvas")))
    this.onUp = () => {
      if (this.drawing) setTimeout(() => this.send(), AFTER_PEN)
      this.drawing = false
    }
    this.onKey = (event) => this.key(event)
    document.addEventListener("pointerdown", this.onDown, true)
    document.addEventListener("pointerup", this.onUp, true)
    document.addEventListener("pointercancel", this.onUp, true)
    document.addEventListener("keydown", this.onKey)
  }

  remove() {
    clearTimeout(this.wait)
    document.removeEventListener("pointerdown", this.onDown, true)
    document.removeEventListener("pointerup", this.onUp, true)
    document.removeEventListener("pointercancel", this.onUp, true)
    document.removeEventListener("keydown", this.onKey)
  }

  follow({ data, setTriggerValue }) {
    this.data = data
    this.tellPython = setTriggerValue
    this.hideTheirs()
    this.buttons.Eraser.setAttribute("aria-pressed", data.erases)
    const stored = sessionStorage.getItem(STORED)
    if (data.blank && stored && !this.asked) setTriggerValue("restored", stored)
    this.asked = true
  }

  // The package's small buttons would lie over the page, and only under a mouse.
  hideTheirs() {
    const toolbar = findDeep(document.querySelector(`.st-key-${this.data.pad}`), ".dc-toolbar")
    if (!toolbar) return void (this.wait = setTimeout(() => this.hideTheirs(), 50))
    const root = toolbar.getRootNode()
    if (root.querySelector("style.robust")) return
    const style = document.createElement("style")
    style.className = "robust"
    style.textContent = ".dc-toolbar { display: none !important; }"
    root.append(style)
  }

  button(name) {
    const button = document.createElement("button")
    button.type = "button"
    button.textContent = name
    button.onclick = () => this.press(name)
    return button
  }

  press(name) {
    if (name === "Eraser") return this.tellPython("eraser", !this.data.erases)
    if (name === "Clear" && this.data.began_with) {
      sessionStorage.removeItem(STORED)
      return this.tellPython("cleared", Math.random())
    }
    this.theirs(name)?.click()
    setTimeout(() => this.store(), 100)
  }

  // The package's own button; it lives in the pad's shadow root.
  theirs(name) {
    return findDeep(document.querySelector(`.st-key-${this.data.pad}`), `[aria-label="${THEIRS[name]}"]`)
  }

  send() {
    this.theirs("send")?.click()
    this.store()
  }

  store() {
    const canvas = findDeep(document.querySelector(`.st-key-${this.data.pad}`), "canvas.dc-canvas.lower-canvas")
    if (!canvas) return
    const empty = !canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((v, i) => i % 4 < 3 && v)
    if (empty) sessionStorage.removeItem(STORED)
    else sessionStorage.setItem(STORED, canvas.toDataURL("image/png"))
  }

  key(event) {
    const name = event.shiftKey && event.key.toLowerCase() === "z" ? "Redo" : KEYS[event.key.toLowerCase()]
    if (!name || !(event.ctrlKey || event.metaKey) || event.altKey) return
    if (event.composedPath().some((node) => node.matches?.("input, textarea, [contenteditable]"))) return
    event.preventDefault()
    this.press(name)
  }
}
