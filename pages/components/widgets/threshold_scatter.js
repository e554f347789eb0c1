// The browser's half of threshold_scatter.py, in the manner of threshold_plot.js: the drawing is kept, and only what
// differs is updated. Wherever there are two of a thing, the first belongs to the x axis and the second to the y axis.

const plots = new WeakMap()

export default function (component) {
  return mount(ThresholdScatter, plots, component)
}

const refused = (score, threshold, refuses) => (refuses === "low" ? score < threshold : score > threshold)

// How many points of a set each rule refuses.
function countEitherRefused([xs, ys], [tx, ty], [sideX, sideY]) {
  const count = { x: 0, y: 0, any: 0, all: 0 }
  for (let i = 0; i < xs.length; i++) {
    const byX = refused(xs[i], tx, sideX)
    const byY = refused(ys[i], ty, sideY)
    if (byX) count.x++
    if (byY) count.y++
    if (byX || byY) count.any++
    if (byX && byY) count.all++
  }
  return count
}

// ---- An axis: value <-> pixel. `start` is the pixel of the low end, `end` of the high one; y runs upwards ----

const BAND = 34 // px, the bands of exact zeros and of infinities
const GAP = 5 // px between a band and the axis

class Scale {
  constructor(axis, start, end, refuses) {
    const towards = Math.sign(end - start)
    this.bend = axis.log ? Math.log : (v) => v
    this.unbend = axis.log ? Math.exp : (v) => v
    this.axis = axis
    this.start = start
    this.end = end
    this.low = start + (axis.zero ? towards * (BAND + GAP) : 0)
    this.high = end - (axis.infinity ? towards * (BAND + GAP) : 0)
    // A line at 0 accepts the zeros: it stands on the far side of their band.
    this.atZero = refuses === "low" ? start : this.low
    this.towards = towards
  }

  toPixel(value) {
    const { axis, bend, low, high } = this
    if (axis.zero && value <= 0) return this.atZero
    const share = (bend(clamp(value, axis.lo, axis.hi)) - bend(axis.lo)) / (bend(axis.hi) - bend(axis.lo))
    return low + share * (high - low)
  }

  toValue(pixel) {
    const { axis, bend, unbend, low, high } = this
    const share = clamp((pixel - low) / (high - low), 0, 1)
    if (share === 0 || share === 1) return share ? axis.hi : axis.lo
    return unbend(bend(axis.lo) + share * (bend(axis.hi) - bend(axis.lo)))
  }

  // Where a point is drawn; `spread` (0..1) spreads points over a band.
  place(score, spread) {
    const { axis, towards } = this
    if (score === Infinity) return this.end - towards * BAND * (0.08 + 0.84 * spread)
    if (axis.zero && score === 0) return this.start + towards * BAND * (0.08 + 0.84 * spread)
    return this.toPixel(score)
  }

  ticks() {
    const { axis, low, high } = this
    const room = Math.abs(high - low)
    if (axis.log) return decadeTicks(axis.lo, axis.hi, axis.hi / axis.lo > 1000 ? [1] : room > 250 ? [1, 2, 5] : [1, 3])
    return evenTicks(axis.lo, axis.hi, room).slice(axis.zero ? 1 : 0) // zeros have a band of their own
  }
}

// ---- The drawing ----

const TOP = 44 // px above the points: the strip of the x handle
const LEFT = 76 // px: tick labels and the axis label, upright
const RIGHT = 10
const BOTTOM = 44
const PILL = 30
const REACH = 44 // px, width that a finger can grab

const handleMarkup = (axis) => `
<g class="handle ${axis}" data-moves="${axis}" role="slider" tabindex="0"
  aria-orientation="${axis === "x" ? "horizontal" : "vertical"}">
  <rect class="reach"/><line class="line"/>
  <g class="grip"><rect class="ring"/><rect class="pill"/><text text-anchor="middle"></text></g>
</g>`

const MARKUP = `
<div class="picture">
  <i class="dots-reference"></i><i class="dots-comparison"></i>
  <canvas aria-hidden="true"></canvas>
  <svg class="chart">
    <defs>
      <pattern id="refused-hatch" width="9" height="9" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <line class="hatch" y2="9"/>
      </pattern>
    </defs>
    <g class="still"></g>
    <path class="shade"/><path class="shade-hatch"/>
    <g class="marker"><path d="M0 -9L9 0L0 9L-9 0Z"/><text>your input</text></g>
    <text class="word refused">⊘ refused</text>
    <text class="word accepted">✓ accepted</text>
    ${handleMarkup("x")}
    ${handleMarkup("y")}
    <g class="cross" data-moves="xy"><circle class="reach" r="20"/><circle class="knob" r="8"/></g>
  </svg>
</div>
<div class="legend">
  <div class="reference"><b>■</b> <span></span></div><div class="comparison"><b>×</b> <span></span></div>
</div>
<table>
  <thead><tr><th>refused by</th></tr></thead>
  <tbody>
    <tr class="fpr"><th><b>FPR</b> <small></small></th></tr>
    <tr class="fnr"><th><b>FNR</b> <small></small></th></tr>
  </tbody>
</table>`

const RULES = ["x", "y", "any", "all"]

class ThresholdScatter extends Hand {
  constructor(parent) {
    super(parent, `<div class="scatter">${MARKUP}</div>`)
    const find = (selector) => this.root.querySelector(selector)
    for (const row of this.root.querySelectorAll("tr"))
      for (const rule of RULES) {
        const cell = document.createElement(row.parentElement.localName === "thead" ? "th" : "td")
        cell.dataset.rule = rule
        row.append(cell)
      }
    this.parts = {
      picture: find(".picture"),
      canvas: find("canvas"),
      chart: find(".chart"),
      still: find(".still"),
      shades: [find(".shade"), find(".shade-hatch")],
      marker: find(".marker"),
      refusedWord: find(".word.refused"),
      acceptedWord: find(".word.accepted"),
      handles: [find(".handle.x"), find(".handle.y")],
      cross: find(".cross"),
      legend: this.root.querySelectorAll(".legend span"),
    }
    this.cells = Object.fromEntries(
      ["thead", ".fpr", ".fnr"].map((part) => [part, [...this.root.querySelectorAll(`${part} [data-rule]`)]]),
    )
    this.listen(this.parts.handles, (event, i) => this.key(event, i))
  }

  get state() {
    return [...this.values]
  }

  set state(values) {
    this.values = values
  }

  get release() {
    return { values: this.values }
  }

  // ---- Python -> browser, and back ----

  follow({ data, setTriggerValue }) {
    this.data = data
    this.tellPython = setTriggerValue
    this.numbers = data.digits.map(
      (digits) => new Intl.NumberFormat("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
    )
    this.take()
    if (!this.isAhead(data.seen)) {
      live.say({ [data.metrics[0]]: data.thresholds[0], [data.metrics[1]]: data.thresholds[1] })
      this.values = data.metrics.map((metric) => live.thresholds.get(metric))
    }
    if (!this.content) return // the plots of the metrics bring the scores
    this.drawStill()
    this.draw()
  }

  // The scores of both metrics, once their plots have brought them.
  take() {
    const columns = this.data.metrics.map((metric) => live.columns.get(metric))
    if (columns.some((column) => !column)) return
    const sets = [0, 1].map((set) => columns.map((column) => column[set]))
    if (sets.flat().some((scores, i) => scores !== this.content?.sets.flat()[i])) this.drawn = null
    this.content = { sets, axes: this.data.axes }
  }

  get thresholds() {
    return Object.fromEntries(this.data.metrics.map((metric, i) => [metric, this.values[i]]))
  }

  set thresholds(values) {
    this.values = this.data.metrics.map((metric) => values[metric])
  }

  followLive() {
    this.take()
    if (!this.content || !this.width) return
    this.drawStill()
    super.followLive()
  }

  // ---- What stays while a line moves ----

  drawStill() {
    const { data, content, parts, width } = this
    if (!width) return
    const colours = ["reference", "comparison"].map((name) => {
      return getComputedStyle(this.root.querySelector(`.dots-${name}`)).color
    })
    const drawn = JSON.stringify([data.axes, width, data.height, data.titles, data.names, data.refuses, colours])
    if (drawn === this.drawn) return
    this.drawn = drawn

    const { height } = data
    this.scales = [
      new Scale(content.axes[0], LEFT, width - RIGHT, data.refuses[0]),
      new Scale(content.axes[1], height - BOTTOM, TOP, data.refuses[1]),
    ]
    this.limits = content.axes.map(({ lo, hi }, i) => {
      const units = 10 ** data.digits[i]
      return [Math.floor(lo * units) / units, Math.ceil(hi * units) / units]
    })
    parts.picture.style.height = `${height}px`
    setAttributes(parts.chart, { viewBox: `0 0 ${width} ${height}` })
    data.names.forEach((name, i) => setText(parts.legend[i], name))
    setText(this.root.querySelector("tr.fpr small"), `good ${data.good} refused`)
    setText(this.root.querySelector("tr.fnr small"), `${data.others} accepted`)
    const names = { x: data.titles[0], y: data.titles[1], any: "any", all: "all" }
    for (const cell of this.cells.thead) setText(cell, names[cell.dataset.rule])
    parts.still.innerHTML = this.bands() + this.axes()
    for (const [i, label] of parts.still.querySelectorAll(".axis-label").entries())
      setText(label, data.titles[i] + (content.axes[i].log ? " (log axis)" : "") + " →")
    this.drawPoints(colours)
    this.shapeHandles()
  }

  bands() {
    const { width, data } = this
    const boxes = this.scales.flatMap(({ axis, start, end, towards }, i) => {
      const along = [axis.zero && [start, "0"], axis.infinity && [end - towards * BAND, "∞"]].filter(Boolean)
      return along.map(([from, text]) => {
        const low = Math.min(from, from + towards * BAND)
        const box = i
          ? { x: LEFT, y: low, width: width - LEFT - RIGHT, height: BAND }
          : { x: low, y: TOP, width: BAND, height: data.height - TOP - BOTTOM }
        const at = i ? `x="${LEFT - 8}" y="${low + BAND / 2 + 5}" text-anchor="end"` : this.below(low + BAND / 2)
        const sides = Object.entries(box).map(([name, value]) => `${name}="${value}"`)
        return `<rect class="band" ${sides.join(" ")}/><text ${at}>${text}</text>`
      })
    })
    return boxes.join("")
  }

  below(x) {
    return `x="${x}" y="${this.data.height - BOTTOM + 19}" text-anchor="middle"`
  }

  axes() {
    const { width, data } = this
    const base = data.height - BOTTOM
    const [x, y] = this.scales
    let marks = `M${LEFT} ${TOP}V${base}H${width - RIGHT}`
    let texts = ""
    for (const value of x.ticks()) {
      marks += `M${x.toPixel(value)} ${base}v5`
      texts += `<text ${this.below(x.toPixel(value))}>${tickFormat.format(value)}</text>`
    }
    for (const value of y.ticks()) {
      marks += `M${LEFT} ${y.toPixel(value)}h-5`
      texts += `<text x="${LEFT - 8}" y="${y.toPixel(value) + 5}" text-anchor="end">${tickFormat.format(value)}</text>`
    }
    return (
      `<path class="axis" d="${marks}"/>${texts}` +
      `<text class="axis-label" x="${(LEFT + width) / 2}" y="${data.height - 6}" text-anchor="middle"></text>` +
      `<text class="axis-label" text-anchor="middle" transform="translate(14 ${(TOP + base) / 2}) rotate(-90)"></text>`
    )
  }

  // Squares and crosses in turn, some hundred at a time, so that neither set hides the other.
  drawPoints(colours) {
    const { parts, width, scales, content, data } = this
    const ratio = devicePixelRatio
    setAttributes(parts.canvas, { width: width * ratio, height: data.height * ratio })
    const context = parts.canvas.getContext("2d")
    context.scale(ratio, ratio)
    const most = Math.max(...content.sets.map(([xs]) => xs.length))
    const crowd = clamp(2500 / most, 0.25, 0.7)
    for (let from = 0; from < most; from += 100)
      content.sets.forEach(([xs, ys], set) => {
        context.beginPath()
        for (let i = from; i < Math.min(from + 100, xs.length); i++) {
          const x = scales[0].place(xs[i], (i * 0.6180339) % 1)
          const y = scales[1].place(ys[i], (i * 0.7548777) % 1)
          if (set === 0) context.rect(x - 1.5, y - 1.5, 3, 3)
          else {
            context.moveTo(x - 2.5, y - 2.5)
            context.lineTo(x + 2.5, y + 2.5)
            context.moveTo(x - 2.5, y + 2.5)
            context.lineTo(x + 2.5, y - 2.5)
          }
        }
        context.globalAlpha = crowd
        context.fillStyle = context.strokeStyle = colours[set]
        context.lineWidth = 1.2
        if (set === 0) context.fill()
        else context.stroke()
      })
  }

  shapeHandles() {
    const { parts, data, width } = this
    const base = data.height - BOTTOM
    this.pills = this.limits.map((range, i) => {
      return 34 + 9.5 * Math.max(...range.map((value) => this.numbers[i].format(value).length))
    })
    parts.handles.forEach((handle, i) => {
      const pill = { x: -this.pills[i] / 2, y: -PILL / 2, width: this.pills[i], height: PILL, rx: PILL / 2 }
      const ring = { x: pill.x - 4, y: pill.y - 4, width: pill.width + 8, height: PILL + 8, rx: PILL / 2 + 4 }
      setAttributes(handle.querySelector(".pill"), pill)
      setAttributes(handle.querySelector(".ring"), ring)
      setAttributes(handle.querySelector("text"), { y: 6 })
      const [reach, line] = [handle.querySelector(".reach"), handle.querySelector(".line")]
      if (i === 0) {
        setAttributes(reach, { x: -REACH / 2, y: 0, width: REACH, height: base })
        setAttributes(line, { y1: 20, y2: base })
      } else {
        setAttributes(reach, { x: LEFT, y: -REACH / 2, width: width - LEFT - RIGHT, height: REACH })
        setAttributes(line, { x1: LEFT, x2: width - RIGHT })
      }
      setAttributes(handle, {
        "aria-label": `${data.titles[i]}: threshold, in the scatter`,
        "aria-valuemin": this.limits[i][0],
        "aria-valuemax": this.limits[i][1],
      })
    })
  }

  // ---- What follows the lines ----

  draw() {
    if (!this.width) return
    this.shown = JSON.stringify(this.thresholds)
    const { data, content, parts, values, scales, width } = this
    const [reference, comparison] = content.sets.map((set) => countEitherRefused(set, values, data.refuses))
    const [good, nonsense] = content.sets.map(([xs]) => xs.length)
    RULES.forEach((rule, i) => {
      setText(this.cells[".fpr"][i], `${percent(reference[rule], good)} %`)
      setText(this.cells[".fnr"][i], `${percent(nonsense - comparison[rule], nonsense)} %`)
      for (const cells of Object.values(this.cells)) cells[i].classList.toggle("now", rule === data.rule)
    })

    const [x, y] = scales.map((scale, i) => scale.toPixel(values[i]))
    const texts = values.map((value, i) => this.numbers[i].format(value))
    const base = data.height - BOTTOM
    const [handleX, handleY] = parts.handles
    const lineAt = (handle, at) => {
      for (const part of handle.querySelectorAll(".reach, .line"))
        setAttributes(part, { transform: `translate(${at})` })
    }
    lineAt(handleX, `${x} 0`)
    lineAt(handleY, `0 ${y}`)
    const pillX = clamp(x, LEFT + this.pills[0] / 2, width - this.pills[0] / 2)
    // The y handle sits at the end of its line that the x metric accepts.
    const pillY = data.refuses[0] === "low" ? width - RIGHT - this.pills[1] / 2 : LEFT + this.pills[1] / 2
    setAttributes(handleX.querySelector(".grip"), { transform: `translate(${pillX} ${PILL / 2 + 4})` })
    setAttributes(handleY.querySelector(".grip"), { transform: `translate(${pillY} ${y})` })
    setText(handleX.querySelector("text"), `‹ ${texts[0]} ›`)
    setText(handleY.querySelector("text"), `↕ ${texts[1]}`)
    setAttributes(parts.cross, { transform: `translate(${x} ${y})` })
    parts.handles.forEach((handle, i) => {
      const rule = "xy"[i]
      const fpr = `${percent(reference[rule], good)} percent of good ${data.good} refused`
      const fnr = `${percent(nonsense - comparison[rule], nonsense)} percent of ${data.others} accepted`
      const spoken = `threshold ${texts[i]}, ${fpr}, ${fnr}`
      setAttributes(handle, { "aria-valuenow": values[i], "aria-valuetext": spoken })
    })
    this.drawShade(x, y, base)
    this.drawInput()
  }

  drawShade(x, y, base) {
    const { data, parts, width } = this
    const right = width - RIGHT
    const [lowX, lowY] = data.refuses.map((side) => side === "low")
    const across = lowX ? [LEFT, x] : [x, right]
    const rest = lowX ? [x, right] : [LEFT, x]
    const upright = lowY ? [y, base] : [TOP, y]
    const box = ([x0, x1], [y0, y1]) => `M${x0} ${y0}H${x1}V${y1}H${x0}Z`
    const whole = { x: [LEFT, right], y: [TOP, base] }
    const shapes = {
      x: box(across, whole.y),
      y: box(whole.x, upright),
      any: box(across, whole.y) + box(rest, upright),
      all: box(across, upright),
    }
    for (const shade of parts.shades) setAttributes(shade, { d: shapes[data.rule] ?? "" })
    const corner = (word, left, below) =>
      setAttributes(word, {
        x: left ? LEFT + 10 : right - 10,
        y: below ? base - 12 : TOP + 22,
        "text-anchor": left ? "start" : "end",
      })
    corner(parts.refusedWord, lowX, lowY)
    corner(parts.acceptedWord, !lowX, !lowY)
  }

  drawInput() {
    const { data, parts, scales, width } = this
    parts.marker.style.display = data.input ? "" : "none"
    if (!data.input) return
    const [x, y] = scales.map((scale, i) => scale.place(Number(data.input[i]), 0.5))
    const atLeft = x < width / 2
    setAttributes(parts.marker, { transform: `translate(${x} ${y})` })
    setAttributes(parts.marker.querySelector("text"), {
      x: atLeft ? 14 : -14,
      y: 5,
      "text-anchor": atLeft ? "start" : "end",
    })
  }

  // ---- The hand. Only lines and handles can be grabbed, so that a finger elsewhere scrolls the page ----

  snap(value, i) {
    return clamp(Number(value.toFixed(this.data.digits[i])), ...this.limits[i])
  }

  // Where the pointer is, in the drawing's pixels along each axis.
  pointer(event) {
    const rect = this.parts.chart.getBoundingClientRect()
    return [event.clientX - rect.left, event.clientY - rect.top]
  }

  grab(event) {
    const moves = event.target.closest("[data-moves]")?.dataset.moves
    if (!moves || event.button !== 0 || !event.isPrimary) return
    event.preventDefault()
    const offsets = this.pointer(event).map((at, i) => at - this.scales[i].toPixel(this.values[i]))
    this.hold(event, this.parts.handles[moves === "y" ? 1 : 0], { moves, offsets })
  }

  move(event) {
    const { moves, offsets } = this.drag
    this.pointer(event).forEach((at, i) => {
      if (moves.includes("xy"[i])) this.values[i] = this.snap(this.scales[i].toValue(at - offsets[i]), i)
    })
    this.redraw()
  }

  key(event, i) {
    const scale = this.scales[i]
    const value = this.values[i]
    const asked = this.asks(event, Math.abs(scale.end - scale.start))
    if (asked === undefined) return
    const moved = () => this.snap(scale.toValue(scale.toPixel(value) + scale.towards * asked), i)
    const least = () => this.snap(value + Math.sign(asked) * 10 ** -this.data.digits[i], i)
    const [min, max] = this.limits[i]
    this.values[i] = { Home: min, End: max }[asked] ?? nudged(value, moved(), least())
    this.afterKey()
  }
}
