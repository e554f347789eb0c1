// The browser's half of curve_plot.py.

const LEFT = 84 // px: tick labels and the axis label, upright
const RIGHT = 14
const TOP = 14
const BOTTOM = 46
const ZERO = 34 // px, the band of an FPR of 0
const STAR = "M0 -11L3.2 -3.6L11 -3.2L5 2L7 10L0 5.6L-7 10L-5 2L-11 -3.2L-3.2 -3.6Z"
const DOT = "M0 -7A7 7 0 1 0 0 7A7 7 0 1 0 0 -7Z"
const RING = "M0 -12A12 12 0 1 0 0 12A12 12 0 1 0 0 -12Z"

const drawings = new WeakMap()

export default function (component) {
  return mount(CurvePlot, drawings, component)
}

const perCent = (share) => `${(100 * share).toFixed(2)}%`

class CurvePlot {
  constructor(parent) {
    this.root = document.createElement("div")
    this.root.className = "curves"
    this.chart = svg("svg", { class: "chart", role: "img" })
    this.legend = document.createElement("div")
    this.legend.className = "legend"
    this.root.append(this.chart, this.legend)
    parent.append(this.root)
    this.observer = new ResizeObserver(([entry]) => this.resize(Math.round(entry.contentRect.width)))
    this.observer.observe(this.root)
    this.onLive = () => this.draw()
    live.drawings.add(this.onLive)
    this.chart.addEventListener("pointermove", (event) => this.read(event))
    this.chart.addEventListener("pointerleave", () => this.read(null))
  }

  remove() {
    this.observer.disconnect()
    live.drawings.delete(this.onLive)
    this.root.remove()
  }

  follow({ data }) {
    this.data = data
    this.drawStill()
    live.schedule() // the rule may come after the curves
  }

  resize(width) {
    if (width === this.width) return
    this.width = width
    this.drawn = null
    this.drawStill()
    this.draw()
  }

  toX(fpr) {
    const { smallest } = this.data
    if (fpr < smallest) return LEFT + ZERO / 2
    const share = Math.log(fpr / smallest) / Math.log(1 / smallest)
    return LEFT + ZERO + share * (this.width - RIGHT - LEFT - ZERO)
  }

  toY(y) {
    const [low, high] = this.data.y_range
    return this.data.height - BOTTOM - ((clamp(y, low, high) - low) / (high - low)) * (this.data.height - BOTTOM - TOP)
  }

  words(y) {
    return this.data.per_cent ? perCent(y) : y.toFixed(3)
  }

  drawStill() {
    const { data, width } = this
    const drawn = JSON.stringify([data, width])
    if (!width || drawn === this.drawn) return
    this.drawn = drawn
    const base = data.height - BOTTOM
    setAttributes(this.chart, { height: data.height, viewBox: `0 0 ${width} ${data.height}` })
    const parts = [svg("rect", { class: "zero", x: LEFT, y: TOP, width: ZERO, height: base - TOP })]
    const text = (x, y, anchor, words, rest = {}) => parts.push(svg("text", { x, y, "text-anchor": anchor, ...rest }, words))
    let grid = ""
    text(LEFT + ZERO / 2, base + 20, "middle", "0")
    for (const value of decadeTicks(data.smallest, 1, [1])) {
      grid += `M${this.toX(value)} ${TOP}V${base}`
      const anchor = value === 1 ? "end" : value === data.smallest ? "start" : "middle"
      text(this.toX(value), base + 20, anchor, `${tickFormat.format(100 * value)} %`)
    }
    for (const value of evenTicks(...data.y_range, base - TOP)) {
      grid += `M${LEFT} ${this.toY(value)}H${width - RIGHT}`
      const words = data.per_cent ? `${tickFormat.format(100 * value)} %` : tickFormat.format(value)
      text(LEFT - 8, this.toY(value) + 5, "end", words)
    }
    parts.push(svg("path", { class: "grid", d: grid }), svg("path", { class: "axis", d: `M${LEFT} ${TOP}V${base}H${width - RIGHT}` }))
    text((LEFT + width) / 2, data.height - 6, "middle", `${data.x_title} (log axis) →`)
    text(0, 0, "middle", `${data.y_title} →`, { transform: `translate(14 ${(TOP + base) / 2}) rotate(-90)` })
    for (const { points, colour, dash } of data.curves) {
      const d = points.map(([fpr, y], i) => `${i ? "L" : "M"}${this.toX(fpr).toFixed(1)} ${this.toY(y).toFixed(1)}`).join("")
      parts.push(svg("path", { class: "curve", d, stroke: colour, "stroke-dasharray": dash }))
    }
    if (data.found) parts.push(svg("path", { class: "found", d: RING, transform: this.at(...data.found) }))
    this.hair = svg("line", { class: "hair", y1: TOP, y2: base, visibility: "hidden" })
    this.marks = data.curves.map(({ rule, colour }) =>
      svg("path", { class: "now", d: rule === data.deciding ? STAR : DOT, fill: colour, visibility: "hidden" }),
    )
    this.chart.replaceChildren(...parts, this.hair, ...this.marks)
    this.drawLegend()
    this.shown = null
  }

  at(fpr, y) {
    return `translate(${this.toX(fpr)} ${this.toY(y)})`
  }

  drawLegend() {
    const { data } = this
    this.outputs = []
    const rows = data.curves.map(({ rule, title, colour, dash }) => {
      const row = document.createElement("div")
      row.classList.toggle("deciding", rule === data.deciding)
      const sample = svg("svg", { viewBox: "0 0 34 12", "aria-hidden": "true" })
      sample.append(svg("path", { d: "M0 6H34", stroke: colour, "stroke-width": 3, "stroke-dasharray": dash }))
      const name = document.createElement("span")
      name.textContent = (rule === data.deciding ? "★ " : "● ") + title
      const output = document.createElement("output")
      this.outputs.push(output)
      row.append(sample, name, output)
      return row
    })
    if (data.found) {
      const row = document.createElement("div")
      row.textContent = "◯ found for your goal"
      rows.push(row)
    }
    this.legend.replaceChildren(...rows)
  }

  // ---- What follows the lines ----

  draw() {
    if (!this.width || !this.marks || !live.page) return
    const { data } = this
    const places = data.curves.map((curve) => {
      const rates = live.rates(curve.rule)
      if (!rates || !data.y_of) return rates && { fpr: rates.fpr, y: this.onCurve(curve, rates.fpr).y }
      const [one, ofFpr, ofFnr] = data.y_of
      return { fpr: rates.fpr, y: one + ofFpr * rates.fpr + ofFnr * rates.fnr }
    })
    const shown = JSON.stringify([places, this.pointed])
    if (shown === this.shown) return
    this.shown = shown
    places.forEach((place, i) => {
      setAttributes(this.marks[i], { visibility: place ? "visible" : "hidden" })
      if (place) setAttributes(this.marks[i], { transform: this.at(place.fpr, place.y) })
      const read = this.pointed === null || this.pointed === undefined ? place : this.onCurve(data.curves[i], this.pointed)
      setText(this.outputs[i], read ? `FPR ${perCent(read.fpr)} · ${this.words(read.y)}` : "")
    })
    const spoken = data.curves.map(({ title }, i) => places[i] && `${title}: ${this.outputs[i].textContent}`)
    setAttributes(this.chart, { "aria-label": `${data.y_title} against ${data.x_title}. ${spoken.filter(Boolean).join(". ")}` })
  }

  onCurve({ points }, wanted) {
    const [fpr, y] = points.findLast(([fpr]) => fpr <= wanted) ?? points[0]
    return { fpr, y }
  }

  // The curves' values under the pointer.
  read(event) {
    if (!this.hair) return
    const x = event && event.clientX - this.chart.getBoundingClientRect().left
    const inside = event && x >= LEFT && x <= this.width - RIGHT
    const { smallest } = this.data
    const share = inside && clamp((x - LEFT - ZERO) / (this.width - RIGHT - LEFT - ZERO), 0, 1)
    this.pointed = inside ? (x < LEFT + ZERO ? 0 : smallest * (1 / smallest) ** share) : null
    setAttributes(this.hair, { visibility: inside ? "visible" : "hidden", x1: x ?? 0, x2: x ?? 0 })
    this.draw()
  }
}
