// The browser's half of latent_map.py.

const SIZE = 440 // px of the drawing's own
const MARGIN = 6
// Greys of the theme for the regions, each with its class's name: colours alone would not tell ten classes apart.
const TINTS = [8, 22, 36, 50, 15, 29, 43, 57, 12, 33]

const maps = new WeakMap()

export default function (component) {
  const { parentElement, data } = component
  if (!maps.has(parentElement)) maps.set(parentElement, new LatentMap(parentElement))
  const map = maps.get(parentElement)
  map.follow(data)
  return () => {
    map.root.remove()
    maps.delete(parentElement)
  }
}

class LatentMap {
  constructor(parent) {
    this.root = document.createElement("div")
    this.root.style.containerType = "inline-size"
    this.chart = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}` })
    this.picture = document.createElement("i")
    this.words = document.createElement("p")
    const seen = document.createElement("div")
    seen.className = "seen"
    seen.append(this.picture, this.words)
    const grid = document.createElement("div")
    grid.className = "latent"
    grid.append(this.chart, seen)
    this.root.append(grid)
    parent.append(this.root)
    this.chart.addEventListener("pointerdown", (event) => this.grab(event))
    this.chart.addEventListener("pointermove", (event) => event.pointerId === this.pointer && this.move(event))
    for (const end of ["pointerup", "pointercancel"]) this.chart.addEventListener(end, () => (this.pointer = null))
  }

  follow(data) {
    if (data.sheet === this.data?.sheet) return
    this.data = data
    this.side = data.places.length
    this.at = { column: (this.side - 1) / 2, row: (this.side - 1) / 2 } // I(x)
    this.drawMap()
    this.draw()
  }

  // From places on the grid, also between them, to pixels. Rows run upwards.
  toX(column) {
    return MARGIN + ((column + 0.5) / this.side) * (SIZE - 2 * MARGIN)
  }

  toY(row) {
    return SIZE - this.toX(row)
  }

  get cell() {
    return (SIZE - 2 * MARGIN) / this.side
  }

  // Cells for a length in latent space.
  get unit() {
    const { places } = this.data
    return (this.side - 1) / (places.at(-1) - places[0])
  }

  drawMap() {
    const { data, side, cell } = this
    const middle = (side - 1) / 2
    const parts = []
    const tint = (label) => {
      const share = label === data.prediction ? 0 : TINTS[label % TINTS.length]
      return `color-mix(in srgb, var(--comparison) ${share}%, var(--st-background-color))`
    }
    data.classes.forEach((row, r) =>
      row.forEach((label, c) => {
        const box = { x: this.toX(c) - cell / 2, y: this.toY(r) - cell / 2, width: cell + 0.5, height: cell + 0.5 }
        const rect = svg("rect", box)
        rect.style.fill = tint(label)
        parts.push(rect)
      }),
    )
    parts.push(svg("path", { class: "region", d: this.borders(), fill: "none", style: "stroke: var(--st-text-color); stroke-width: 1.5" }))
    for (const { label, column, row, size } of this.middles()) {
      const place = { class: "name", x: this.toX(column), y: this.toY(row) + size / 3, "font-size": size }
      parts.push(svg("text", place, data.names[label] ?? String(label)))
    }
    const [x, y] = [this.toX(middle), this.toY(middle)]
    const star = middle + data.delta_z * this.unit
    parts.push(
      svg("circle", { class: "circle", cx: x, cy: y, r: data.delta_z * this.unit * cell }),
      svg("line", { class: "way", x1: x, y1: y, x2: this.toX(star), y2: y }),
      svg("circle", { class: "mark", cx: x, cy: y, r: 6 }),
      svg("path", { class: "mark", d: `M${this.toX(star)} ${y - 9}l9 9l-9 9l-9 -9Z` }),
      svg("text", { class: "label", x: x - 10, y: y + 24, "text-anchor": "end" }, "I(x)"),
      svg("text", { class: "label", x: this.toX(star) + 14, y: y + 5 }, "z*"),
      svg("text", { class: "label", x, y: y - data.delta_z * this.unit * cell - 8, "text-anchor": "middle" }, "radius δz"),
    )
    parts.push(svg("rect", { class: "frame", x: MARGIN, y: MARGIN, width: SIZE - 2 * MARGIN, height: SIZE - 2 * MARGIN }))
    this.handle = svg(
      "g",
      { class: "handle", role: "slider", tabindex: 0, "aria-label": data.label, "aria-valuemin": 0, "aria-valuemax": side * side - 1 },
      svg("circle", { class: "reach", r: 24 }),
      svg("circle", { class: "knob", r: 11 }),
    )
    this.handle.addEventListener("keydown", (event) => this.key(event))
    this.chart.replaceChildren(...parts, this.handle)
    this.picture.style.backgroundImage = `url("${data.sheet}")`
    this.picture.style.backgroundSize = `${100 * side}% ${100 * side}%`
  }

  // The lines between cells of different classes.
  borders() {
    const { classes } = this.data
    const half = this.cell / 2
    let d = ""
    for (let r = 0; r < this.side; r++)
      for (let c = 0; c < this.side; c++) {
        const [x, y] = [this.toX(c), this.toY(r)]
        if (c + 1 < this.side && classes[r][c] !== classes[r][c + 1]) d += `M${x + half} ${y - half}v${2 * half}`
        if (r + 1 < this.side && classes[r][c] !== classes[r + 1][c]) d += `M${x - half} ${y - half}h${2 * half}`
      }
    return d
  }

  // Where to write each class's name: in its region's cell that is farthest from others.
  middles() {
    const { classes } = this.data
    const best = new Map()
    for (let r = 0; r < this.side; r++)
      for (let c = 0; c < this.side; c++) {
        let room = 0
        const alike = (dr, dc) => classes[r + dr]?.[c + dc] === classes[r][c]
        while (room < 8 && [-1, 0, 1].every((i) => [-1, 0, 1].every((j) => alike(i * (room + 1), j * (room + 1))))) room++
        if (r + c === this.side - 1) room -= 0.01 // ties: not on the handle's way
        const middle = (this.side - 1) / 2
        const star = middle + this.data.delta_z * this.unit
        if (Math.hypot(r - middle, c - middle) < 4 || (Math.abs(r - middle) < 2 && c > star - 2 && c < star + 5)) room -= 4
        if (!best.has(classes[r][c]) || best.get(classes[r][c]).room < room) best.set(classes[r][c], { room, row: r, column: c })
      }
    return [...best].map(([label, { room, row, column }]) => ({ label, row, column, size: clamp(12 + 4 * room, 12, 40) }))
  }

  draw() {
    const { data, side, at } = this
    const [column, row] = [Math.round(at.column), Math.round(at.row)]
    const label = data.classes[row][column]
    const along = (place) => (100 * place) / (side - 1)
    this.picture.style.backgroundPosition = `${along(column)}% ${along(row)}%`
    const length = Math.hypot(data.places[column], data.places[row]).toFixed(data.digits)
    const name = data.names[label] ?? String(label)
    const same = label === data.prediction
    const strong = Object.assign(document.createElement("b"), { textContent: `read as ${name}`, className: same ? "same" : "flipped" })
    const mark = same ? " ✓ as the input" : " ⊘ flipped"
    const far = Object.assign(document.createElement("span"), { textContent: `${mark}; ${length} from I(x)` })
    this.words.replaceChildren(strong, document.createElement("br"), far)
    this.handle.setAttribute("transform", `translate(${this.toX(at.column)} ${this.toY(at.row)})`)
    this.handle.setAttribute("aria-valuenow", row * side + column)
    this.handle.setAttribute("aria-valuetext", `read as ${name},${mark.slice(2)}, ${length} from I(x)`)
  }

  // ---- The hand ----

  grab(event) {
    if (event.button !== 0 || !event.isPrimary) return
    event.preventDefault()
    this.pointer = event.pointerId
    this.chart.setPointerCapture(event.pointerId)
    this.handle.focus({ preventScroll: true, focusVisible: false })
    this.move(event)
  }

  move(event) {
    const rect = this.chart.getBoundingClientRect()
    const share = (at, start, length) => ((at - start) / length) * SIZE
    const toPlace = (pixel) => clamp(((pixel - MARGIN) / (SIZE - 2 * MARGIN)) * this.side - 0.5, 0, this.side - 1)
    this.at = {
      column: toPlace(share(event.clientX, rect.left, rect.width)),
      row: toPlace(SIZE - share(event.clientY, rect.top, rect.height)),
    }
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null
      this.draw()
    })
  }

  key(event) {
    const step = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key]
    const home = event.key === "Home"
    if ((!step && !home) || event.altKey || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    event.stopPropagation()
    const middle = (this.side - 1) / 2
    const [column, row] = home ? [middle, middle] : [Math.round(this.at.column) + step[0], Math.round(this.at.row) + step[1]]
    this.at = { column: clamp(column, 0, this.side - 1), row: clamp(row, 0, this.side - 1) }
    this.draw()
  }
}
