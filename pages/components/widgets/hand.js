// What the drawings share; it is put in front of their scripts.

const SEND_KEYS_AFTER = 250 // ms after the last key, until Python hears of it

function decodeFloat64(base64) {
  return new Float64Array(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer)
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high)
const tickFormat = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 6 })

// One decimal; two near 0 and 100 %, so that a few in ten thousand are not shown as none.
function percent(count, total) {
  const share = (100 * count) / total
  return share.toFixed((share > 0 && share < 1) || (share > 99 && share < 100) ? 2 : 1)
}

// Round numbers from lo to hi, in so many pixels of room.
function evenTicks(lo, hi, room) {
  const rough = (hi - lo) / Math.max(3, Math.floor(room / 75))
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((s) => s >= rough)
  const first = Math.ceil(lo / step - 1e-9)
  const last = Math.floor(hi / step + 1e-9)
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step)
}

// The marks (1 to 9) of every power of ten from lo to hi.
function decadeTicks(lo, hi, marks) {
  const found = []
  for (let e = Math.floor(Math.log10(lo)); e <= Math.log10(hi); e++)
    for (const m of marks) found.push(Number(`${m}e${e}`))
  return found.filter((v) => v >= lo && v <= hi)
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name)
  setAttributes(element, attributes)
  element.append(...children)
  return element
}

// How many of the sorted values are < t, or with `orEqual` <= t.
function countBelow(sorted, t, orEqual = false) {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle] < t || (orEqual && sorted[middle] === t)) low = middle + 1
    else high = middle
  }
  return low
}

function countRefused(sorted, t, refuses) {
  return refuses === "low" ? countBelow(sorted, t) : sorted.length - countBelow(sorted, t, true)
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

// Components keep one drawing for each place on the page: Streamlit calls again on every run.
function mount(Drawing, drawings, component) {
  const { parentElement } = component
  if (!drawings.has(parentElement)) drawings.set(parentElement, new Drawing(parentElement))
  const drawing = drawings.get(parentElement)
  drawing.follow(component)
  return () => {
    drawing.remove()
    drawings.delete(parentElement)
  }
}

// A drawing that a hand moves: pointer, touch or keys. Drawings have `parts.chart`, `content`, `state` (what the hand
// moves), `thresholds` (the same by metric; another drawing may set them), `draw`, `drawStill`, `grab(event)` and
// `move(event)`.
class Hand {
  constructor(parent, markup) {
    this.root = document.createElement("div")
    this.root.style.containerType = "inline-size"
    this.root.append(document.createRange().createContextualFragment(markup))
    parent.append(this.root)
    this.drag = null // while the hand holds a line: its pointer, and the state before
    this.sent = null // the state that Python has, as far as the drawing knows
    this.pending = null // id of the release that Python has not yet taken in
    this.waiting = new Set()
  }

  // After `parts` are known.
  listen(handles, onKey) {
    const { chart } = this.parts
    chart.addEventListener("pointerdown", (event) => this.grab(event))
    chart.addEventListener("pointermove", (event) => event.pointerId === this.drag?.pointer && this.move(event))
    chart.addEventListener("pointerup", (event) => event.pointerId === this.drag?.pointer && this.letGo())
    chart.addEventListener("pointercancel", () => this.drag && this.letGo(this.drag.before)) // the browser took it, to scroll
    handles.forEach((handle, i) => {
      handle.addEventListener("keydown", (event) => onKey(event, i))
      handle.addEventListener("blur", () => this.keyTimer && this.send())
    })
    this.observer = new ResizeObserver(([entry]) => this.resize(entry.contentRect.width))
    this.observer.observe(this.root)
    this.onLive = () => this.followLive()
    live.drawings.add(this.onLive)
  }

  remove() {
    this.observer.disconnect()
    live.drawings.delete(this.onLive)
    live.letGo(this)
    clearTimeout(this.keyTimer)
    this.waiting.delete(this.whenDataArrives)
    this.root.remove()
  }

  resize(width) {
    if (Math.round(width) === this.width) return
    this.width = Math.round(width)
    if (!this.content) return
    this.drawStill()
    this.draw()
  }

  // The data of a digest; without it, whatever comes later calls `again`. `store`: {waiting}, shared by all of the page.
  await(content, store, again) {
    this.waiting = store.waiting
    this.waiting.delete(this.whenDataArrives)
    this.content = content
    if (!content) this.waiting.add((this.whenDataArrives = again))
    return Boolean(content)
  }

  // The hand wins until its release has reached Python: a run that began before it may still deliver the old value.
  isAhead(seen) {
    if (seen === this.pending) this.pending = null
    const ahead = this.drag || this.keyTimer || this.pending
    if (!ahead) live.letGo(this)
    return ahead
  }

  // Other drawings of the page move the same thresholds.
  followLive() {
    if (!this.content || !this.width) return
    for (const metric of Object.keys(this.thresholds)) {
      const value = live.thresholds.get(metric)
      if (value !== undefined && live.held.get(metric) !== this) this.thresholds = { ...this.thresholds, [metric]: value }
    }
    if (JSON.stringify(this.thresholds) !== this.shown) this.draw()
  }

  send() {
    clearTimeout(this.keyTimer)
    this.keyTimer = null
    if (String(this.state) === this.sent) return live.letGo(this)
    this.sent = String(this.state)
    this.pending = Math.random()
    this.tellPython("released", { ...this.release, id: this.pending })
  }

  hold(event, handle, drag) {
    if (!this.keyTimer) this.sent = String(this.state)
    clearTimeout(this.keyTimer)
    this.keyTimer = null
    this.drag = { ...drag, before: this.state, pointer: event.pointerId }
    this.parts.chart.setPointerCapture(event.pointerId)
    handle.focus({ preventScroll: true, focusVisible: false })
  }

  // In the next frame, with all that follows.
  redraw() {
    live.move(this, this.thresholds)
  }

  letGo(state = this.state) {
    this.state = state
    this.drag = null
    this.draw()
    this.redraw()
    this.send()
  }

  // What a key asks for: pixels along an axis of so many, "Home", "End", or nothing.
  asks(event, length) {
    const arrow = event.shiftKey ? length / 1000 : length / 100
    const up = { ArrowRight: arrow, ArrowUp: arrow, PageUp: length / 10, Home: "Home" }
    const down = { ArrowLeft: -arrow, ArrowDown: -arrow, PageDown: -length / 10, End: "End" }
    const asked = { ...up, ...down }[event.key]
    if (asked === undefined || event.altKey || event.ctrlKey || event.metaKey || this.drag) return undefined
    event.preventDefault()
    if (!this.keyTimer) this.sent = String(this.state)
    return asked
  }

  afterKey() {
    this.draw()
    this.redraw()
    clearTimeout(this.keyTimer)
    this.keyTimer = setTimeout(() => this.send(), SEND_KEYS_AFTER)
  }
}

// A step of so many pixels, but at least one of the last decimal.
function nudged(value, moved, least) {
  return Math.abs(moved - value) > Math.abs(least - value) ? moved : least
}
