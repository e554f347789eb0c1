// The browser's half of stage.py. A request names the step and the plot wanted, not "one on": of quick presses Python
// may see only the last, and that one says it all.

const NEXT = ["ArrowRight", "PageDown", " "]
const BACK = ["ArrowLeft", "PageUp"]
// Whoever uses one of these means it, and not the talk.
const OWN_KEYS = "input, textarea, select, button, a, [contenteditable], [role=slider], [role=radio]"

const stages = new WeakMap()

export default function (component) {
  const { parentElement } = component
  if (!stages.has(parentElement)) stages.set(parentElement, new Stage(parentElement.querySelector(".stage")))
  const stage = stages.get(parentElement)
  stage.follow(component)
  return () => {
    stage.remove()
    stages.delete(parentElement)
  }
}

class Stage {
  constructor(root) {
    this.root = root
    this.pending = null // id of the request that Python has not yet taken in
    this.onKey = (event) => this.key(event)
    this.onPointerUp = () => setTimeout(letGo)
    document.addEventListener("keydown", this.onKey)
    document.addEventListener("pointerup", this.onPointerUp)
  }

  remove() {
    document.removeEventListener("keydown", this.onKey)
    document.removeEventListener("pointerup", this.onPointerUp)
  }

  follow({ data, setTriggerValue }) {
    this.data = data
    this.tellPython = setTriggerValue
    // A run that began before the last press still brings the older step.
    if (data.seen === this.pending) this.pending = null
    if (!this.pending) this.wanted = { step: data.step, plot: data.plot }
    this.draw()
  }

  ask(change, leaves = false) {
    Object.assign(this.wanted, change)
    this.pending = Math.random()
    this.tellPython("asked", { ...this.wanted, leaves, id: this.pending })
  }

  draw() {
    const { step, steps, plots, plot } = this.data
    const make = (name, rest) => Object.assign(document.createElement(name), rest)
    const button = (innerHTML, onclick, rest) => make("button", { innerHTML, onclick, type: "button", ...rest })
    const place = make("span", { className: "place", textContent: `${step} / ${steps}` })
    const spring = make("span", { className: "spring" })
    const choices = plots.map((title, i) => {
      const choice = button("", () => this.ask({ plot: i }))
      choice.append(make("kbd", { textContent: `${i + 1} ` }), title)
      choice.setAttribute("aria-pressed", i === plot)
      return choice
    })
    this.root.replaceChildren(
      button("←", () => this.go(-1), { ariaLabel: "Back", disabled: step === 1 }),
      place,
      button("→", () => this.go(1), { ariaLabel: "Next", disabled: step === steps }),
      spring,
      ...choices,
      button("Full screen", toggleFullScreen),
      button("Leave <kbd>Esc</kbd>", () => this.ask({}, true)),
    )
  }

  go(by) {
    const step = Math.min(Math.max(this.wanted.step + by, 1), this.data.steps)
    if (step !== this.wanted.step) this.ask({ step })
  }

  key(event) {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return
    if (event.composedPath().some((node) => node.matches?.(OWN_KEYS))) return
    if (NEXT.includes(event.key)) this.go(1)
    else if (BACK.includes(event.key)) this.go(-1)
    else if (event.key === "Escape") this.ask({}, true)
    else if (event.key >= "1" && event.key <= String(this.data.plots.length)) this.ask({ plot: Number(event.key) - 1 })
    else return
    event.preventDefault()
  }
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen()
  else document.documentElement.requestFullscreen()
}

// After a click or a drag, the keys belong to the talk again.
function letGo() {
  let active = document.activeElement
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement
  if (active && !active.matches("input, textarea, select, [contenteditable]")) active.blur()
}
