// The browser's half of wall.py.

const POLL = 700 // ms
const PAD = 1000 // the drawings' coordinates
const PEN = (PAD * 20) / 280
const TILE = 48
const ROUND = 120 // s of "Fool it"
const BEST = 10 // in a strip

const walls = new WeakMap()

export default function (component) {
  const { parentElement } = component
  if (!walls.has(parentElement)) walls.set(parentElement, new Wall(parentElement))
  const wall = walls.get(parentElement)
  wall.follow(component)
  return () => {
    wall.remove()
    walls.delete(parentElement)
  }
}

const make = (name, rest = {}, ...children) => {
  const element = Object.assign(document.createElement(name), rest)
  element.append(...children)
  return element
}
function drawStrokes(canvas, strokes, side) {
  canvas.width = canvas.height = side
  const pen = canvas.getContext("2d")
  const scale = side / PAD
  pen.fillRect(0, 0, side, side)
  pen.strokeStyle = "#fff"
  pen.lineWidth = PEN * scale
  pen.lineCap = pen.lineJoin = "round"
  for (const points of strokes) {
    pen.beginPath()
    points.forEach(([x, y], i) => (i ? pen.lineTo(x * scale, y * scale) : pen.moveTo(x * scale, y * scale)))
    if (points.length === 1) pen.lineTo(points[0][0] * scale + 0.1, points[0][1] * scale)
    pen.stroke()
  }
  return canvas
}

const share = (count, total) => (total ? `${((100 * count) / total).toFixed(1)} %` : "–")

class Wall {
  constructor(parent) {
    this.root = make("div", { className: "wall" })
    parent.append(this.root)
    this.drawings = new Map()
    this.tiles = new Map()
    this.since = 0
    this.thresholds = {}
    this.round = null
    this.onKey = (event) => this.key(event)
    document.addEventListener("keydown", this.onKey)
  }

  remove() {
    clearTimeout(this.timer)
    document.removeEventListener("keydown", this.onKey)
    this.observer?.disconnect()
    this.root.remove()
  }

  follow({ data, setTriggerValue }) {
    this.tellPython = setTriggerValue
    const storage = `robust host ${data.code}`
    if (data.host_key) localStorage.setItem(storage, data.host_key)
    if (data.code === this.data?.code) return
    this.data = data
    this.hostKey = localStorage.getItem(storage)
    this.metrics = Object.fromEntries(
      data.metrics.map((metric) => [metric.name, { ...metric, good: decodeFloat64(metric.good), others: decodeFloat64(metric.others) }]),
    )
    for (const metric of data.metrics) this.thresholds[metric.name] = metric.threshold
    this.metric = data.chosen
    this.drawings.clear()
    this.since = 0
    this.build()
    this.poll()
  }

  // ---- The room's routes ----

  async ask(path, options = {}) {
    const headers = { "x-host-key": this.hostKey ?? "", "content-type": "application/json" }
    const response = await fetch(`/room/${this.data.code}/${path}`, { ...options, headers })
    if (!response.ok) throw new Error((await response.json()).error)
    return response.json()
  }

  async act(action, rest = {}) {
    try {
      await this.ask("host", { method: "POST", body: JSON.stringify({ action, ...rest }) })
      await this.look()
    } catch (error) {
      this.say(error.message)
    }
  }

  async poll() {
    clearTimeout(this.timer)
    try {
      await this.look()
      this.lost = false
    } catch (error) {
      if (!this.lost) this.say(this.hostKey ? `${error.message}` : "This browser did not open the room: it may look at phones' pages only.")
      this.lost = true
    }
    this.timer = setTimeout(() => this.poll(), this.lost ? 3000 : POLL)
  }

  async look() {
    const { drawings, until, closed, holds } = await this.ask(`wall?since=${this.since}`)
    this.since = until
    this.room = { closed, holds }
    for (const drawing of drawings) this.drawings.set(drawing.id, drawing)
    this.draw()
  }

  say(text) {
    this.parts.told.textContent = text
  }

  // ---- The frame of it, once ----

  build() {
    const { data } = this
    const button = (words, onclick, rest = {}) => make("button", { type: "button", onclick, ...rest }, words)
    this.parts = {
      told: make("div", { className: "told", role: "status" }),
      rates: make("div", { className: "rates" }),
      stage: make("div", { className: "stage" }),
      ends: make("div", { className: "ends" }),
      fooled: make("div", { className: "strip" }),
      wronged: make("div", { className: "strip" }),
      fooledTitle: make("h3"),
      wrongedTitle: make("h3"),
      held: button("", () => this.showTray()),
      close: button("", () => this.act(this.room.closed ? "open" : "close")),
      holds: button("", () => this.act(this.room.holds ? "show new" : "hold new")),
      round: button("Fool it: two minutes", () => this.startRound()),
      board: make("div", { className: "told", role: "status" }),
      dialog: make("dialog"),
    }
    const { parts } = this
    const metrics = data.metrics.map(({ name, title }) => {
      const choice = button(title, () => this.choose(name))
      choice.dataset.metric = name
      return choice
    })
    const qr = make("div", { className: "qr", role: "img", ariaLabel: `QR code of ${data.address}` }, ...nodesOf(data.qr))
    const where = make(
      "div",
      {},
      make("div", { className: "code", textContent: data.code }),
      make("div", { className: "address", textContent: data.address }),
      parts.told,
      parts.board,
    )
    const remove = () => confirm("Delete the room and all its drawings?") && this.act("delete").then(() => this.tellPython("asked", { left: true }))
    const buttons = make(
      "div",
      { className: "buttons" },
      parts.held,
      button("Show all", () => this.act("show")),
      parts.holds,
      parts.round,
      ...metrics,
      button("Clear", () => confirm("Hide all drawings?") && this.act("clear")),
      parts.close,
      button("Export", () => this.exportAll()),
      button("Delete", remove),
    )
    this.line = make("div", { className: "line", tabIndex: 0 }, make("span"))
    this.line.setAttribute("role", "slider")
    this.line.onpointerdown = (event) => this.grab(event)
    this.line.onpointermove = (event) => this.pointer === event.pointerId && this.move(event)
    this.line.onpointerup = this.line.onpointercancel = () => (this.pointer = null)
    this.line.onkeydown = (event) => this.nudge(event)
    this.shade = make("div", { className: "shade" })
    this.words = ["refused", "accepted"].map((word) =>
      make("div", { className: `word ${word}`, textContent: word === "refused" ? "⊘ refused" : "✓ accepted" }),
    )
    this.bars = svg("svg", { preserveAspectRatio: "none" })
    parts.stage.append(this.bars, this.shade, ...this.words, this.line)
    const strips = make(
      "div",
      { className: "strips" },
      make("div", {}, parts.fooledTitle, parts.fooled),
      make("div", {}, parts.wrongedTitle, parts.wronged),
    )
    this.root.replaceChildren(
      make("div", { className: "top" }, qr, where, buttons),
      parts.rates,
      parts.stage,
      parts.ends,
      strips,
      parts.dialog,
    )
    this.tiles.clear()
    this.observer?.disconnect()
    this.observer = new ResizeObserver(() => this.draw())
    this.observer.observe(parts.stage)
    this.choose(this.metric)
  }

  choose(name) {
    this.metric = name
    for (const choice of this.root.querySelectorAll("[data-metric]"))
      choice.setAttribute("aria-pressed", choice.dataset.metric === name)
    const { axis, shares, title, refuses } = this.now
    const inner = shares.slice(1, -1)
    const top = Math.max(...inner) || 1
    const heights = inner.map((s) => 60 * Math.sqrt(s / top))
    this.bars.setAttribute("viewBox", `0 0 ${inner.length} 100`)
    const d = `M0 100${heights.map((h, i) => `V${100 - h}H${i + 1}`).join("")}V100Z`
    this.bars.replaceChildren(svg("path", { class: "bars", d }))
    const odd = refuses === "low" ? "← odder" : "odder →"
    const ends = [axis.lo, `${title}: ${odd}`, axis.hi].map((text) => make("span", { textContent: text }))
    this.parts.ends.replaceChildren(...ends)
    this.draw()
  }

  get now() {
    return this.metrics[this.metric]
  }

  // From a score to a share of the width, and back.
  toShare(score) {
    const { lo, hi, log } = this.now.axis
    const bend = log ? Math.log : (v) => v
    return clamp((bend(Math.max(score, log ? lo : -Infinity)) - bend(lo)) / (bend(hi) - bend(lo)), 0, 1)
  }

  toScore(at) {
    const { lo, hi, log } = this.now.axis
    return log ? lo * (hi / lo) ** at : lo + at * (hi - lo)
  }

  refuses(drawing) {
    const score = drawing.scores?.[this.metric]
    if (score === undefined) return null
    const threshold = this.thresholds[this.metric]
    return this.now.refuses === "low" ? score < threshold : score > threshold
  }

  get shown() {
    return [...this.drawings.values()].filter((drawing) => drawing.state === "shown")
  }

  // ---- What follows drawings and line ----

  draw() {
    if (!this.parts || !this.room) return
    const { parts, data } = this
    const held = [...this.drawings.values()].filter(({ state }) => state === "held").length
    parts.held.textContent = `Tray: ${held} wait (T)`
    parts.close.textContent = this.room.closed ? "Open again" : "Close"
    parts.holds.textContent = this.room.holds ? "Show new ones at once" : "Hold new ones"
    if (!this.lost) this.say(`${this.shown.length} shown${this.room.closed ? "; the room is closed" : ""}`)
    this.drawLine()
    this.drawTiles()
    const judged = this.shown.filter((drawing) => this.refuses(drawing) !== null)
    const [good, others] = [judged.filter(({ claim }) => claim !== null), judged.filter(({ claim }) => claim === null)]
    const refusedGood = good.filter((drawing) => this.refuses(drawing))
    const acceptedOthers = others.filter((drawing) => !this.refuses(drawing))
    const { good: reference, others: comparison, refuses } = this.now
    const threshold = this.thresholds[this.metric]
    const kept = comparison.length - countRefused(comparison, threshold, refuses)
    const rate = (name, room, set, ofSet, words) =>
      make("div", {}, make("b", { textContent: room }), ` ${name}: ${words} · ${set} ${ofSet}`)
    parts.rates.replaceChildren(
      rate("FPR", share(refusedGood.length, good.length), data.set_names[0], share(countRefused(reference, threshold, refuses), reference.length), `the room's ${data.plural} refused`),
      rate("FNR", share(acceptedOthers.length, others.length), data.set_names[1], share(kept, comparison.length), "the room's others accepted"),
    )
    const wronged = good.filter((drawing) => this.refuses(drawing) || drawing.prediction !== drawing.claim)
    const oddness = ({ scores }) => (refuses === "low" ? -1 : 1) * scores[this.metric]
    parts.fooledTitle.textContent = `Fooled it: no ${data.plural}, accepted (${acceptedOthers.length})`
    parts.wrongedTitle.textContent = `Wronged: ${data.plural}, refused or misread (${wronged.length})`
    this.fillStrip(parts.fooled, acceptedOthers.sort((a, b) => oddness(a) - oddness(b)))
    this.fillStrip(parts.wronged, wronged.sort((a, b) => oddness(b) - oddness(a)))
    this.drawBoard(acceptedOthers)
  }

  drawLine() {
    const { axis, digits, refuses, title } = this.now
    const threshold = this.thresholds[this.metric]
    const at = this.toShare(threshold)
    this.line.style.left = `${100 * at}%`
    this.line.firstChild.textContent = `‹ ${threshold.toFixed(digits)} ›`
    const label = { "aria-label": `${title}: threshold`, "aria-valuemin": axis.lo, "aria-valuemax": axis.hi, "aria-valuenow": threshold }
    for (const [name, value] of Object.entries(label)) this.line.setAttribute(name, value)
    Object.assign(this.shade.style, refuses === "low" ? { left: 0, width: `${100 * at}%` } : { left: `${100 * at}%`, width: `${100 - 100 * at}%` })
    const [refused, accepted] = this.words
    const [left, right] = refuses === "low" ? [refused, accepted] : [accepted, refused]
    Object.assign(left.style, { left: "auto", right: `${100 - 100 * at}%`, marginRight: "12px", visibility: at > 0.1 ? "" : "hidden" })
    Object.assign(right.style, { right: "auto", left: `${100 * at}%`, marginLeft: "12px", visibility: at < 0.9 ? "" : "hidden" })
  }

  // Side by side from left to right, those at the same place on top of each other.
  drawTiles() {
    const { stage } = this.parts
    const [width, height] = [stage.clientWidth, stage.clientHeight]
    const columns = new Map()
    const alive = new Set()
    for (const drawing of this.shown.sort((a, b) => a.id - b.id)) {
      const refused = this.refuses(drawing)
      if (refused === null) continue
      alive.add(drawing.id)
      const column = Math.round((this.toShare(drawing.scores[this.metric]) * (width - TILE)) / (TILE + 2))
      const level = columns.get(column) ?? 0
      columns.set(column, level + 1)
      const tile = this.tiles.get(drawing.id) ?? this.newTile(drawing)
      const rows = Math.max(1, Math.floor((height - 70) / (TILE + 2)))
      tile.style.left = `${clamp(column * (TILE + 2), 0, width - TILE)}px`
      tile.style.bottom = `${2 + (level % rows) * (TILE + 2)}px`
      tile.classList.toggle("refused", refused)
      tile.setAttribute("aria-label", `${drawing.nickname || "somebody"}'s drawing, ${refused ? "refused" : "accepted"}`)
    }
    for (const [id, tile] of this.tiles)
      if (!alive.has(id)) {
        tile.remove()
        this.tiles.delete(id)
      }
  }

  newTile(drawing) {
    const tile = make("button", { type: "button", className: "tile", onclick: () => this.showLarge(drawing.id) })
    tile.append(drawStrokes(document.createElement("canvas"), drawing.strokes, 84))
    this.tiles.set(drawing.id, tile)
    this.parts.stage.insertBefore(tile, this.line)
    return tile
  }

  fillStrip(strip, drawings) {
    const wanted = drawings.slice(0, BEST).map(({ id }) => id)
    if (strip.dataset.shown === wanted.join()) return
    strip.dataset.shown = wanted.join()
    strip.replaceChildren(
      ...wanted.map((id) => {
        const { strokes, nickname } = this.drawings.get(id)
        const button = make("button", { type: "button", title: nickname, ariaLabel: nickname || "a drawing", onclick: () => this.showLarge(id) })
        button.append(drawStrokes(document.createElement("canvas"), strokes, 140))
        return button
      }),
    )
  }

  // ---- Dialogs ----

  open(...content) {
    const { dialog } = this.parts
    const close = make("button", { type: "button", onclick: () => dialog.close() }, "Close (Esc)")
    dialog.replaceChildren(...content, close)
    if (!dialog.open) dialog.showModal()
  }

  claimed({ claim }) {
    return claim === null ? `none of the ${this.data.plural}` : (this.data.classes[claim] ?? String(claim))
  }

  showLarge(id) {
    const drawing = this.drawings.get(id)
    const rows = this.data.metrics.map(({ name, title, refuses, digits }) => {
      const score = drawing.scores?.[name]
      const refused = refuses === "low" ? score < this.thresholds[name] : score > this.thresholds[name]
      const word = score === undefined ? "…" : refused ? "⊘ refuses" : "✓ accepts"
      const cell = make("td", { className: score === undefined ? "" : refused ? "unreliable" : "reliable", textContent: word })
      const value = score === undefined ? "" : score >= 1e6 ? "∞" : score.toFixed(digits)
      return make("tr", {}, make("td", { textContent: title }), make("td", { textContent: value }), cell)
    })
    const says = `${this.data.classes[drawing.prediction] ?? drawing.prediction}, ${Math.round(100 * drawing.probability)} % sure`
    const act = (words, action, rest) =>
      make("button", { type: "button", onclick: () => (this.parts.dialog.close(), this.act(action, rest)) }, words)
    const look = make("button", { type: "button", onclick: () => this.tellPython("asked", { look: drawing.strokes }) }, "Look closer: why, and its δz walk")
    const words = make(
      "div",
      {},
      make("b", { textContent: `It says ${says}` }),
      make("p", { textContent: `${drawing.nickname || "Somebody"} says: ${this.claimed(drawing)}` }),
      make("p", { textContent: `The room: ${drawing.digit_votes} for, ${drawing.other_votes} against` }),
      make("table", {}, ...rows),
      make("div", { className: "buttons" }, look, act("Hide", "hide", { numbers: [id] }), act("Mute sender", "mute", { sender: drawing.sender })),
    )
    this.open(make("div", { className: "large" }, drawStrokes(document.createElement("canvas"), drawing.strokes, 560), words))
  }

  showTray() {
    const held = [...this.drawings.values()].filter(({ state }) => state === "held")
    const { dialog } = this.parts
    const again = async (action, rest) => {
      await this.act(action, rest)
      if (dialog.open) this.showTray()
    }
    const act = (words, action, rest) => make("button", { type: "button", onclick: () => again(action, rest) }, words)
    if (dialog.open && !held.length) return dialog.close()
    const figures = held.map(({ id, strokes, nickname, sender }) =>
      make(
        "figure",
        {},
        drawStrokes(document.createElement("canvas"), strokes, 200),
        make("figcaption", { textContent: nickname || "–" }),
        make("div", { className: "buttons" }, act("Show", "show", { numbers: [id] }), act("Hide", "hide", { numbers: [id] }), act("Mute", "mute", { sender })),
      ),
    )
    const all = act(`Show all ${held.length}`, "show")
    this.open(make("h3", { textContent: `${held.length} drawings wait` }), all, make("div", { className: "tray" }, ...figures))
  }

  async exportAll() {
    const response = await fetch(`/room/${this.data.code}/export`, { headers: { "x-host-key": this.hostKey ?? "" } })
    const link = make("a", { href: URL.createObjectURL(await response.blob()), download: `room-${this.data.code}.zip` })
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
  }

  // ---- "Fool it": two minutes, and who fooled it most ----

  startRound() {
    this.round = { began: Date.now() / 1000 }
    this.act("show new")
    const tick = () => {
      this.draw()
      if (Date.now() / 1000 < this.round.began + ROUND) setTimeout(tick, 1000)
    }
    tick()
  }

  drawBoard(accepted) {
    if (!this.round) return
    const left = Math.max(0, Math.round(this.round.began + ROUND - Date.now() / 1000))
    const counts = new Map()
    for (const { sent, nickname, digit_votes, other_votes } of accepted)
      if (sent > this.round.began && sent < this.round.began + ROUND && digit_votes <= other_votes)
        counts.set(nickname || "somebody", (counts.get(nickname || "somebody") ?? 0) + 1)
    const best = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 5)
    const names = best.map(([name, count], i) => `${i + 1}. ${name} ${count}`).join("   ")
    this.parts.board.textContent = `${left ? `Fool it! ${left} s left.` : "Time is up."} ${names || "Nobody fooled it yet."}`
  }

  // ---- The hand ----

  grab(event) {
    event.preventDefault()
    this.pointer = event.pointerId
    this.line.setPointerCapture(event.pointerId)
    this.line.focus({ preventScroll: true })
  }

  move(event) {
    const box = this.parts.stage.getBoundingClientRect()
    this.set(this.toScore(clamp((event.clientX - box.left) / box.width, 0, 1)))
  }

  nudge(event) {
    const by = { ArrowRight: 0.01, ArrowUp: 0.01, ArrowLeft: -0.01, ArrowDown: -0.01, PageUp: 0.1, PageDown: -0.1 }[event.key]
    if (!by) return
    event.preventDefault()
    event.stopPropagation()
    this.set(this.toScore(clamp(this.toShare(this.thresholds[this.metric]) + by, 0, 1)))
  }

  set(threshold) {
    this.thresholds[this.metric] = Number(threshold.toFixed(this.now.digits))
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null
      this.draw()
    })
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.composedPath().some((node) => node.matches?.("input, textarea, [contenteditable]"))) return
    if (event.key.toLowerCase() === "t") this.showTray()
  }
}
