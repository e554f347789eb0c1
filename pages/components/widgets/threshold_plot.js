// The browser's half of threshold_plot.py. Streamlit calls the default export on mount and again on every run with new
// data; the drawing is kept and only what differs is updated.

// Parsed scores by digest, shared by all plots of the page. Plots that arrive before their scores wait.
const shared = (globalThis.robustThresholdPlots ??= { scores: new Map(), waiting: new Set() })
const plots = new WeakMap()

export default function (component) {
  const { data } = component
  if (data.scores) return keepScores(data)
  return mount(ThresholdPlot, plots, component)
}

function keepScores({ digest, scores, axis, shares }) {
  if (!shared.scores.has(digest)) {
    const columns = scores.map(decodeFloat64)
    shared.scores.set(digest, { columns, sorted: columns.map((column) => column.slice().sort()), axis, shares })
  }
  for (const draw of [...shared.waiting]) draw()
}

const whole = new Intl.NumberFormat("en-GB")
// ---- The axis: value <-> pixel, in three stretches (outer bin below, lo to hi to scale, outer bin above) ----

const SIDE = 12 // px left and right of the axis
const OUTER = 44 // px, width of an outer bin
const GAP = 6 // px between an outer bin and the axis

class Scale {
  constructor(axis, width) {
    const bend = axis.log ? Math.log : (v) => v
    const unbend = axis.log ? Math.exp : (v) => v
    this.left = SIDE
    this.right = width - SIDE
    this.mainLeft = this.left + (axis.below ? OUTER + GAP : 0)
    this.mainRight = this.right - (axis.above ? OUTER + GAP : 0)
    this.infinity = axis.above ? this.right - OUTER / 2 : this.right
    this.stretches = [{ from: axis.lo, to: axis.hi, x0: this.mainLeft, x1: this.mainRight, bend, unbend }]
    const straight = { bend: (v) => v, unbend: (v) => v }
    if (axis.below && axis.min < axis.lo)
      this.stretches.unshift({ from: axis.min, to: axis.lo, x0: this.left, x1: this.left + OUTER, ...straight })
    if (axis.above && axis.max > axis.hi)
      this.stretches.push({ from: axis.hi, to: axis.max, x0: this.right - OUTER, x1: this.right, ...straight })
    this.min = this.stretches[0].from
    this.max = this.stretches.at(-1).to
  }

  toPixel(value) {
    if (value === Infinity) return this.infinity
    if (value > this.max) return this.right
    if (value < this.min) return this.left
    const { from, to, x0, x1, bend } = this.stretches.find((s) => value <= s.to)
    return x0 + ((x1 - x0) * (bend(value) - bend(from))) / (bend(to) - bend(from))
  }

  toValue(x) {
    const { from, to, x0, x1, bend, unbend } = this.stretches.find((s) => x <= s.x1) ?? this.stretches.at(-1)
    const share = clamp((x - x0) / (x1 - x0), 0, 1)
    if (share === 0 || share === 1) return share ? to : from // exact ends, without the rounding of exp(log(v))
    return unbend(bend(from) + share * (bend(to) - bend(from)))
  }
}

function ticks(axis, room) {
  if (!axis.log) return evenTicks(axis.lo, axis.hi, room)
  const decades = Math.log10(axis.hi / axis.lo)
  return decadeTicks(axis.lo, axis.hi, decades > 3 ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 5])
}

// ---- The drawing ----

const TOP = 42 // px above the bars' highest point: the handle's strip; the input's label lies below it
const LANE = 22 // px, the input's label
const LANE_COMPACT = 4 // px, the same where there is little height: the label may lie on the bars
const WORD = 92 // px, the longer word of the verdict
const BOTTOM = 46 // px below the bars: tick labels and the axis label
const PILL = 32 // px, height of the handle
const REACH = 44 // px, width that a finger can grab
const FARTHEST = 1e6 // as Python reads thresholds

const ICONS = {
  reliable: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20Zm-2 15-5-5 1.4-1.4L10 14.2l7.6-7.6L19 8Z",
  refused:
    "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20ZM4 12a8 8 0 0 1 12.9-6.3L5.7 16.9A8 8 0 0 1 4 12Zm8 8a8 8 0 0 1-4.9-1.7" +
    "L18.3 7.1A8 8 0 0 1 12 20Z",
}

const MARKUP = `
<div class="head">
  <div class="title"></div>
  <div class="verdict" hidden>
    <svg viewBox="0 0 24 24" aria-hidden="true"><path fill="currentColor"/></svg><span></span><strong></strong>
  </div>
</div>
<div class="rates">
  <div class="rate fpr"><b></b><span></span><small></small></div>
  <div class="rate fnr"><b></b><span></span><small></small></div>
  <div class="rate at">
    <label><i>threshold</i> <input inputmode="decimal" autocomplete="off" spellcheck="false"></label>
    <span></span><small></small>
  </div>
</div>
<svg class="chart">
  <defs>
    <pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <line class="hatch" y2="7"/>
    </pattern>
  </defs>
  <g class="still"></g>
  <rect class="shade"/>
  <text class="word refused">⊘ refused</text>
  <text class="word accepted">✓ accepted</text>
  <g class="marker"><line class="rim"/><line/><path/><text></text></g>
  <g class="handle" role="slider" tabindex="0" aria-orientation="horizontal">
    <g class="stem"><rect class="reach"/><line class="line"/></g>
    <g class="grip"><rect class="ring"/><rect class="pill"/><text text-anchor="middle"></text></g>
  </g>
</svg>
<div class="legend">
  <div><i class="swatch reference"></i><span></span></div>
  <div><i class="swatch comparison"></i><span></span></div>
  <small>height: square root of the share</small>
</div>`

// As the terms on the pages: by mouse, keyboard and finger.
function explain(element, words) {
  element.classList.toggle("term", Boolean(words))
  if (!words) return ["tabindex", "role", "data-tip", "aria-label"].forEach((name) => element.removeAttribute(name))
  setAttributes(element, { tabindex: 0, role: "note", "data-tip": words, "aria-label": `${element.textContent}: ${words}` })
}

class ThresholdPlot extends Hand {
  constructor(parent) {
    super(parent, `<div class="plot">${MARKUP}</div>`)
    const find = (selector) => this.root.querySelector(selector)
    this.parts = {
      title: find(".title"),
      verdict: find(".verdict"),
      verdictIcon: find(".verdict path"),
      verdictLabel: find(".verdict span"),
      verdictWord: find(".verdict strong"),
      fpr: find(".fpr b"),
      fprCount: find(".fpr small"),
      fnr: find(".fnr b"),
      fnrCount: find(".fnr small"),
      at: find(".at input"),
      percentile: find(".at span"),
      atSet: find(".at small"),
      chart: find(".chart"),
      still: find(".still"),
      shade: find(".shade"),
      refusedWord: find(".word.refused"),
      acceptedWord: find(".word.accepted"),
      marker: find(".marker"),
      handle: find(".handle"),
      stem: find(".stem"),
      grip: find(".grip"),
      gripText: find(".grip text"),
      legend: this.root.querySelectorAll(".legend span"),
    }
    this.listen([this.parts.handle], (event) => this.key(event))
    this.parts.at.addEventListener("change", () => this.typed())
  }

  get thresholds() {
    return { [this.data.metric]: this.value }
  }

  set thresholds(values) {
    this.value = values[this.data.metric]
  }

  get state() {
    return this.value
  }

  set state(value) {
    this.value = value
  }

  get release() {
    return { value: this.value }
  }

  // ---- Python -> browser ----

  follow({ data, setTriggerValue }) {
    this.data = data
    this.tellPython = setTriggerValue
    this.root.firstChild.classList.toggle("compact", Boolean(data.compact))
    this.root.firstChild.classList.toggle("plain", Boolean(data.plain))
    const decimals = { minimumFractionDigits: data.digits, maximumFractionDigits: data.digits }
    this.number = new Intl.NumberFormat("en-GB", decimals)
    this.input = data.input === null ? null : Number(data.input)
    const again = () => this.follow({ data, setTriggerValue })
    if (!this.await(shared.scores.get(data.digest), shared, again)) return
    live.columns.set(data.metric, this.content.columns)
    if (!this.isAhead(data.seen)) {
      live.say({ [data.metric]: data.threshold })
      this.value = live.thresholds.get(data.metric)
    }
    this.drawStill()
    this.draw()
  }

  // ---- What stays while the line moves: histograms, axis, names. Redrawn only if one of these changes ----

  drawStill() {
    const { data, content, parts, width } = this
    if (!width) return
    const drawn = JSON.stringify([data.digest, width, data.height, data.compact, data.plain, data.title, data.names, data.digits])
    if (drawn === this.drawn) return
    this.drawn = drawn

    this.scale = new Scale(content.axis, width)
    const units = 10 ** data.digits
    this.min = Math.floor(this.scale.min * units) / units
    this.max = Math.ceil(this.scale.max * units) / units
    this.base = data.height - BOTTOM
    setText(parts.title, data.title)
    explain(parts.title, data.explained[data.title])
    setText(this.root.querySelector(".fpr span"), `good ${data.good} refused`)
    setText(this.root.querySelector(".fnr span"), `${data.others} accepted`)
    data.names.forEach((name, i) => {
      setText(parts.legend[i], name)
      explain(parts.legend[i], data.explained[name])
    })
    setAttributes(parts.chart, { height: data.height, viewBox: `0 0 ${width} ${data.height}` })
    setAttributes(parts.shade, { y: TOP, height: this.base - TOP })
    parts.still.innerHTML = this.histograms() + this.axis()
    setText(parts.still.querySelector(".axis-label"), this.axisWords())
    this.shapeHandle()
  }

  axisWords() {
    const { data, content } = this
    if (data.plain) return data.refuses === "low" ? "← odder" : "odder →"
    return data.title + (content.axis.log ? " (log axis)" : "") + " →"
  }

  outerBins() {
    const { axis } = this.content
    const bins = [
      { text: axis.below, x: this.scale.left, bin: 0 },
      { text: axis.above, x: this.scale.right - OUTER, bin: -1 },
    ]
    return bins.filter(({ text }) => text)
  }

  histograms() {
    const { base } = this
    const { shares } = this.content
    // Heights are square roots: thresholds are about tails, and a narrow peak must not flatten the other set. Unlike a
    // scale for each set, this leaves the sets comparable: where the outlines cross, the shares are equal.
    const tallest = Math.max(...shares.flatMap((s) => s.slice(1, -1))) || 1
    const room = base - TOP - (this.data.compact ? LANE_COMPACT : LANE)
    const toY = (share) => base - Math.min(1, Math.sqrt(share / tallest)) * room
    let grounds = ""
    let cuts = "" // an outer bin may hold more than any other: its bar is cut at the top and says how much it holds
    for (const { x, bin } of this.outerBins()) {
      grounds += `<rect class="outer" x="${x}" y="${TOP}" width="${OUTER}" height="${base - TOP}"/>`
      shares.forEach((s, i) => {
        if (s.at(bin) <= tallest) return
        const place = `x="${x + OUTER / 2}" y="${base - 10 - 20 * i}"`
        cuts += `<text class="cut" ${place} text-anchor="middle">${Math.round(100 * s.at(bin))} %</text>`
      })
    }
    return (
      grounds +
      `<path class="bars-reference" d="${this.outline(shares[0], toY)}"/>` +
      `<path class="bars-comparison" fill="url(#hatch)" d="${this.outline(shares[1], toY)}"/>` +
      cuts
    )
  }

  axis() {
    const { scale, base } = this
    const labels = this.outerBins().map(({ text, x }) => ({ text, x: x + OUTER / 2 }))
    let marks = ""
    for (const value of ticks(this.content.axis, scale.mainRight - scale.mainLeft)) {
      const text = tickFormat.format(value)
      const x = scale.toPixel(value)
      const fits = (other) => Math.abs(other.x - x) > 5 * (other.text.length + text.length) + 8
      if (!labels.every(fits)) continue
      labels.push({ text, x })
      marks += `M${x} ${base}v5`
    }
    // compact: the legend stands in the same row
    const [x, anchor] = this.data.compact ? [scale.left, "start"] : [this.width / 2, "middle"]
    return (
      `<path class="axis" d="M${scale.left} ${base}H${scale.right}${marks}"/>` +
      labels.map(({ x, text }) => `<text x="${x}" y="${base + 20}" text-anchor="middle">${text}</text>`).join("") +
      `<text class="axis-label" x="${x}" y="${base + 40}" text-anchor="${anchor}"></text>`
    )
  }

  // As wide as the longest value, so that it keeps its size while it moves.
  shapeHandle() {
    const { parts, base } = this
    const longest = Math.max(...[this.min, this.max].map((value) => this.number.format(value).length))
    this.pillWidth = 34 + 9.5 * longest
    const pill = { x: -this.pillWidth / 2, y: 4, width: this.pillWidth, height: PILL, rx: PILL / 2 }
    const ring = { x: pill.x - 4, y: 0, width: pill.width + 8, height: PILL + 8, rx: PILL / 2 + 4 }
    setAttributes(parts.grip.querySelector(".pill"), pill)
    setAttributes(parts.grip.querySelector(".ring"), ring)
    setAttributes(parts.gripText, { y: 26 })
    setAttributes(parts.stem.querySelector(".reach"), { x: -REACH / 2, width: REACH, height: base })
    setAttributes(parts.stem.querySelector(".line"), { y1: 20, y2: base + 6 })
    setAttributes(parts.at, { "aria-label": `${this.data.title} threshold` })
    setAttributes(parts.handle, {
      "aria-label": `${this.data.title}: threshold`,
      "aria-valuemin": this.min,
      "aria-valuemax": this.max,
    })
  }

  // The outline of one histogram as an SVG path: stairs over the axis, and one box for each outer bin.
  outline(shares, toY) {
    const { scale, base } = this
    const box = (share, x) => (share ? `M${x} ${base}V${toY(share)}H${x + OUTER}V${base}Z` : "")
    const inner = shares.slice(1, -1)
    const width = (scale.mainRight - scale.mainLeft) / inner.length
    const stairs = inner.map((share, i) => `V${toY(share).toFixed(1)}H${(scale.mainLeft + width * (i + 1)).toFixed(1)}`)
    const outer = box(shares[0], scale.left) + box(shares.at(-1), scale.right - OUTER)
    return `M${scale.mainLeft} ${base}${stairs.join("")}V${base}Z${outer}`
  }

  // ---- What follows the line, at most once per frame ----

  draw() {
    if (!this.width) return
    this.shown = JSON.stringify(this.thresholds)
    const { data, content, parts, scale, value, width } = this
    const [reference, comparison] = content.sorted
    const refused = countRefused(reference, value, data.refuses)
    const accepted = comparison.length - countRefused(comparison, value, data.refuses)
    const below = data.refuses === "low" ? refused : reference.length - refused
    const text = this.number.format(value)
    const fpr = percent(refused, reference.length)
    const fnr = percent(accepted, comparison.length)

    this.drawRate(parts.fpr, "FPR", `${fpr} %`)
    setText(parts.fprCount, `${whole.format(refused)} of ${whole.format(reference.length)}`)
    this.drawRate(parts.fnr, "FNR", `${fnr} %`)
    setText(parts.fnrCount, `${whole.format(accepted)} of ${whole.format(comparison.length)}`)
    if (!this.parts.at.matches(":focus")) this.parts.at.value = this.plain(value)
    setText(parts.percentile, `${percent(below, reference.length)}th percentile`)
    setText(parts.atSet, `of ${data.names[0]}`)

    const x = scale.toPixel(value)
    const gripX = clamp(x, this.pillWidth / 2, width - this.pillWidth / 2)
    setAttributes(parts.stem, { transform: `translate(${x})` })
    setAttributes(parts.grip, { transform: `translate(${gripX})` })
    setText(parts.gripText, value > this.max ? `${text} ▶` : value < this.min ? `◀ ${text}` : `‹ ${text} ›`)
    const [from, to] = data.refuses === "low" ? [scale.left, x] : [x, scale.right]
    setAttributes(parts.shade, { x: from, width: to - from })
    const [leftWord, rightWord] =
      data.refuses === "low" ? [parts.refusedWord, parts.acceptedWord] : [parts.acceptedWord, parts.refusedWord]
    this.drawWord(leftWord, "end", gripX - this.pillWidth / 2 - 10, x - scale.left)
    this.drawWord(rightWord, "start", gripX + this.pillWidth / 2 + 10, scale.right - x)

    const rates = `${fpr} percent of good ${data.good} refused, ${fnr} percent of ${data.others} accepted`
    const spoken = `threshold ${text}, ${rates}${this.drawInput()}`
    setAttributes(parts.handle, { "aria-valuenow": value, "aria-valuetext": spoken })
  }

  drawRate(element, name, figure) {
    if (element.dataset.figure === figure) return
    element.dataset.figure = figure
    const label = document.createElement("i")
    label.textContent = name
    explain(label, this.data.explained[name])
    element.replaceChildren(label, ` ${figure}`)
  }

  // Beside the handle where there is room, else in its stretch of the plot (upright if that is high enough), else not.
  drawWord(word, anchor, x, stretch) {
    const room = anchor === "end" ? x : this.width - x
    const upright = this.base - TOP > WORD
    word.style.visibility = room > WORD || stretch > (upright ? 24 : WORD) ? "visible" : "hidden"
    if (room > WORD) return setAttributes(word, { "text-anchor": anchor, transform: `translate(${x} 26)` })
    const middle = anchor === "end" ? this.scale.left + stretch / 2 : this.scale.right - stretch / 2
    const [at, turn] = upright ? ["start", "translate(5) rotate(-90)"] : ["middle", ""]
    setAttributes(word, { "text-anchor": at, transform: `translate(${middle} ${this.base - 8}) ${turn}` })
  }

  // On which side of the input its label neither leaves the drawing nor crosses the line, if there is one.
  labelFitsRight(x, length) {
    const line = this.scale.toPixel(this.value)
    const fits = (from, to) => from >= 0 && to <= this.width && (line < from || line > to)
    const [right, left] = [fits(x + 15, x + 15 + length), fits(x - 15 - length, x - 15)]
    return right === left ? x < this.width / 2 : right
  }

  // Returns what the slider's spoken value adds about the input.
  drawInput() {
    const { data, parts, scale, value, input } = this
    parts.verdict.hidden = input === null
    parts.marker.style.display = input === null ? "none" : ""
    if (input === null) return ""
    const refused = data.refuses === "low" ? input < value : input > value
    const word = refused ? "not reliable" : "reliable"
    parts.verdict.classList.toggle("refused", refused)
    setAttributes(parts.verdictIcon, { d: refused ? ICONS.refused : ICONS.reliable })
    setText(parts.verdictLabel, `${data.input_label}:`)
    setText(parts.verdictWord, word)

    const x = scale.toPixel(input)
    const figure = input === Infinity ? "∞" : this.number.format(input)
    const beyond = (input > scale.max && input !== Infinity) || input < scale.min
    const label = parts.marker.querySelector("text")
    setText(label, `${refused ? "⊘" : "✓"} ${data.input_label} ${figure}`)
    const toTheRight = this.labelFitsRight(x, label.getComputedTextLength() || 9 * label.textContent.length)
    parts.marker.classList.toggle("refused", refused)
    setAttributes(parts.marker, { transform: `translate(${x} ${TOP})` })
    for (const line of parts.marker.querySelectorAll("line")) setAttributes(line, { y1: 11, y2: this.base - TOP })
    const arrow = x < this.width / 2 ? "M7 3L-7 11L7 19Z" : "M-7 3L7 11L-7 19Z"
    setAttributes(parts.marker.querySelector("path"), { d: beyond ? arrow : "M0 2L9 11L0 20L-9 11Z" })
    setAttributes(label, { x: toTheRight ? 15 : -15, y: 16, "text-anchor": toTheRight ? "start" : "end" })
    return `, ${data.input_label} ${word}`
  }

  // ---- The hand ----

  // As one types it: no thousands' separators.
  plain(value) {
    return value.toFixed(this.data.digits)
  }

  // A number typed into the field: exactly that, also beyond the axis. Anything else is put back.
  typed() {
    const value = Number(this.parts.at.value.trim().replace(",", "."))
    const usable = this.parts.at.value.trim() !== "" && Math.abs(value) <= FARTHEST
    if (usable && this.content) {
      if (!this.keyTimer) this.sent = String(this.state)
      this.value = Number(value.toFixed(this.data.digits))
      this.redraw()
      this.send()
    }
    this.parts.at.value = this.plain(this.value)
  }

  // The value shown is the value in force: rounded to its decimals, and within the axis.
  snap(value) {
    return clamp(Number(value.toFixed(this.data.digits)), this.min, this.max)
  }

  // Where the pointer is along the drawing, in its own pixels: the page may show it larger.
  along(event, rect) {
    return ((event.clientX - rect.left) * this.width) / rect.width
  }

  grab(event) {
    if (event.button !== 0 || !event.isPrimary || !this.content) return
    event.preventDefault() // no text selection
    const { chart, handle, grip } = this.parts
    const rect = chart.getBoundingClientRect()
    const distance = this.along(event, rect) - this.scale.toPixel(this.value)
    const near = Math.abs(distance) <= (event.pointerType === "mouse" ? 8 : REACH / 2)
    const onLine = near || grip.contains(event.target)
    this.hold(event, handle, { rect, offset: onLine ? distance : 0 })
    if (!onLine) this.move(event)
  }

  move(event) {
    const { rect, offset } = this.drag
    this.value = this.snap(this.scale.toValue(this.along(event, rect) - offset))
    this.redraw()
  }

  key(event) {
    const { scale, value, data } = this
    const asked = this.asks(event, scale.right - scale.left)
    if (asked === undefined) return
    const moved = () => this.snap(scale.toValue(scale.toPixel(value) + asked))
    const least = () => this.snap(value + Math.sign(asked) * 10 ** -data.digits)
    this.value = { Home: this.min, End: this.max }[asked] ?? nudged(value, moved(), least())
    this.afterKey()
  }
}
