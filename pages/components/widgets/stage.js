// The browser's half of stage.py. A request names the step, the plot and the way of input wanted, not "one on": of quick
// presses Python may see only the last, and that one says it all.

const NEXT = ["ArrowRight", "ArrowDown", "PageDown", " ", "Enter"]
const BACK = ["ArrowLeft", "ArrowUp", "PageUp", "Backspace"]
const LIVE = { d: "draw", c: "camera", g: "gallery", u: "own" }
// Whoever uses one of these means it, and not the talk.
const OWN_KEYS = "input, textarea, select, [contenteditable], [role=slider], [role=radio]"
const PRESS = [" ", "Enter"] // what a button in focus keeps for itself
const OWN_TOUCH = `${OWN_KEYS}, button, a, canvas, svg, video, [data-testid=stCameraInput]`
const SWIPE = 60 // px
const HELP = [
  ["→ Space Page down", "next step"],
  ["← Page up", "step before"],
  ["Home End", "first, last step"],
  ["D", "draw"],
  ["C", "camera"],
  ["G", "gallery"],
  ["U", "your own picture from Try it"],
  ["R", "the room draws"],
  ["1 2 3", "the metric in the plot"],
  ["F", "full screen"],
  ["B", "black screen"],
  ["N", "speaker's notes"],
  ["?", "these keys"],
  ["Esc", "back; from a step, leave"],
]

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

const make = (name, rest, ...children) => {
  const element = Object.assign(document.createElement(name), rest)
  element.append(...children)
  return element
}

class Stage {
  constructor(root) {
    this.root = root
    this.pending = null // id of the request that Python has not yet taken in
    this.overlay = null // "black", "notes", "help" or none
    this.onKey = (event) => this.key(event)
    this.onPointerUp = () => setTimeout(letGo)
    this.onTouch = (event) => this.touch(event)
    document.addEventListener("keydown", this.onKey)
    document.addEventListener("pointerup", this.onPointerUp)
    document.addEventListener("touchstart", this.onTouch, { passive: true })
    document.addEventListener("touchend", this.onTouch, { passive: true })
  }

  remove() {
    document.removeEventListener("keydown", this.onKey)
    document.removeEventListener("pointerup", this.onPointerUp)
    document.removeEventListener("touchstart", this.onTouch)
    document.removeEventListener("touchend", this.onTouch)
  }

  follow({ data, setTriggerValue }) {
    this.data = data
    this.tellPython = setTriggerValue
    // A run that began before the last press still brings the older step.
    if (data.seen === this.pending) this.pending = null
    if (!this.pending) this.wanted = { step: data.step, plot: data.plot, live: data.live }
    this.draw()
  }

  ask(change, leaves = null) {
    Object.assign(this.wanted, change)
    this.pending = Math.random()
    this.tellPython("asked", { ...this.wanted, leaves, id: this.pending })
  }

  draw() {
    const { step, steps, plots, plot, live } = this.data
    const focused = this.root.getRootNode().activeElement?.dataset.name
    const button = (words, onclick, rest) => {
      const made = make("button", { onclick, type: "button", ...rest }, ...[words].flat())
      made.dataset.name = made.textContent
      return made
    }
    const key = (letter) => make("kbd", { textContent: ` ${letter}` })
    const place = make("span", { className: "place", textContent: `${step} / ${steps}` })
    const pressed = (element, value) => (element.setAttribute("aria-pressed", value), element)
    const lives = Object.entries({ d: "Draw", c: "Camera", g: "Gallery", u: "Own" }).map(([letter, words]) =>
      pressed(button([words, key(letter.toUpperCase())], () => this.live(LIVE[letter])), live === LIVE[letter]),
    )
    const metrics = plots.map((title, i) =>
      pressed(button([title, key(String(i + 1))], () => this.ask({ plot: i })), i === plot),
    )
    this.root.replaceChildren(
      button("←", () => this.go(-1), { ariaLabel: "Back", disabled: step === 1 }),
      place,
      button("→", () => this.go(1), { ariaLabel: "Next", disabled: step === steps }),
      ...lives,
      make("span", { className: "spring" }),
      ...(plots.length > 1 && this.data.has_plot ? metrics : []),
      button(["Black", key("B")], () => this.toggle("black"), { className: "wide" }),
      pressed(button(["Notes", key("N")], () => this.toggle("notes")), this.overlay === "notes"),
      button(["Full screen", key("F")], toggleFullScreen, { className: "wide" }),
      button(["Keys", key("?")], () => this.toggle("help"), { className: "wide" }),
      ...(this.data.rooms ? [button(["Room", key("R")], () => this.ask({}, "room"))] : []),
      button(["Leave", key("Esc")], () => this.ask({}, "home")),
      ...this.overlays(),
    )
    ;[...this.root.children].find((child) => focused && child.dataset.name === focused)?.focus()
  }

  overlays() {
    const { notes, following } = this.data
    const close = { onclick: () => this.toggle(null) }
    if (this.overlay === "black") return [make("div", { className: "black", role: "img", ...close, ariaLabel: "black screen" })]
    if (this.overlay === "notes") {
      const [sentence, ...rest] = notes.split("\n")
      const next = following ? [make("p", { textContent: `Next: ${following}` })] : []
      const parts = [make("b", { textContent: sentence }), make("p", { textContent: rest.join(" ") }), ...next]
      return [make("aside", { className: "notes", role: "note" }, ...parts)]
    }
    if (this.overlay === "help") {
      const rows = HELP.flatMap(([keys, words]) => [make("kbd", { textContent: keys }), make("span", { textContent: words })])
      return [make("aside", { className: "help", role: "note", ...close }, ...rows)]
    }
    return []
  }

  toggle(overlay) {
    this.overlay = this.overlay === overlay ? null : overlay
    this.draw()
  }

  live(way) {
    this.ask({ live: this.wanted.live === way ? null : way })
  }

  go(by) {
    if (this.wanted.live) return this.ask({ live: null })
    this.goTo(this.wanted.step + by)
  }

  goTo(step) {
    const wanted = Math.min(Math.max(step, 1), this.data.steps)
    if (wanted !== this.wanted.step || this.wanted.live) this.ask({ step: wanted, live: null })
  }

  key(event) {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return
    if (event.key === "Escape") this.escape()
    else if (event.composedPath().some((node) => node.matches?.(OWN_KEYS))) return
    else if (PRESS.includes(event.key) && event.composedPath().some((node) => node.matches?.("button, a"))) return
    else if (!this.press(event.key)) return
    event.preventDefault()
  }

  // Whatever is on top goes first.
  escape() {
    if (this.overlay) this.toggle(null)
    else if (this.wanted.live) this.ask({ live: null })
    else if (!document.fullscreenElement) this.ask({}, "home")
  }

  press(key) {
    const letter = key.toLowerCase()
    if (this.overlay === "black" && letter !== "b") this.toggle(null)
    if (NEXT.includes(key)) this.go(1)
    else if (BACK.includes(key)) this.go(-1)
    else if (key === "Home") this.goTo(1)
    else if (key === "End") this.goTo(this.data.steps)
    else if (letter === "f") toggleFullScreen()
    else if (letter === "b" || key === ".") this.toggle("black")
    else if (letter === "n") this.toggle("notes")
    else if (key === "?") this.toggle("help")
    else if (letter === "r" && this.data.rooms) this.ask({}, "room")
    else if (LIVE[letter]) this.live(LIVE[letter])
    else if (key >= "1" && key <= String(this.data.plots.length)) this.ask({ plot: Number(key) - 1 })
    else return false
    return true
  }

  touch(event) {
    const { clientX: x, clientY: y } = event.changedTouches[0]
    if (event.type === "touchstart") {
      const own = event.composedPath().some((node) => node.matches?.(OWN_TOUCH))
      this.touched = own || event.touches.length > 1 ? null : { x, y }
    } else if (this.touched) {
      const [dx, dy] = [x - this.touched.x, y - this.touched.y]
      if (Math.abs(dx) > SWIPE && Math.abs(dx) > 2 * Math.abs(dy)) this.go(dx < 0 ? 1 : -1)
    }
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
