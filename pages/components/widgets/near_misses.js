// The browser's half of near_misses.py.

const strips = new WeakMap()

export default function (component) {
  return mount(Strip, strips, component)
}

class Strip {
  constructor(parent) {
    this.root = document.createElement("section")
    this.root.className = "strip"
    this.heading = document.createElement("h3")
    this.pictures = document.createElement("div")
    this.pictures.className = "pictures"
    this.root.append(this.heading, this.pictures)
    parent.append(this.root)
    this.onLive = () => this.draw()
    live.drawings.add(this.onLive)
  }

  remove() {
    live.drawings.delete(this.onLive)
    this.root.remove()
  }

  follow({ data, setTriggerValue }) {
    this.data = data
    this.tellPython = setTriggerValue
    this.buttons ??= Array.from({ length: data.most }, () => this.button())
    this.shown = null
    live.schedule()
  }

  button() {
    const button = document.createElement("button")
    button.type = "button"
    button.append(document.createElement("i"), document.createElement("span"))
    button.onclick = () => this.tellPython("picked", button.dataset.place)
    return button
  }

  scoresOf(place) {
    return Object.fromEntries(Object.entries(this.data.scores).map(([name, values]) => [name, values[place]]))
  }

  draw() {
    const { data } = this
    if (!live.page || !data) return
    const { rule, metrics } = live.page
    const thresholds = live.listensTo(rule).map((metric) => live.thresholds.get(metric))
    const state = JSON.stringify([rule, thresholds])
    if (state === this.shown) return
    this.shown = state
    const wanted = data.order.filter(
      (place) => live.refusesBy(rule, this.scoresOf(place), data.predictions[place]) === data.shows_refused,
    )
    setText(this.heading, `${data.title}: ${wanted.length} of ${data.order.length}`)
    const buttons = wanted.slice(0, data.most).map((place, i) => this.fill(this.buttons[i], place, metrics))
    const none = document.createElement("span")
    none.textContent = "✓ None."
    const children = buttons.length ? buttons : [none]
    const { children: shown } = this.pictures
    if (children.length !== shown.length || children[0] !== shown[0]) this.pictures.replaceChildren(...children)
  }

  fill(button, place, metrics) {
    const { data } = this
    if (button.dataset.place === String(place) && button.dataset.sheet === data.sheet) {
      setText(button.lastChild, this.caption(place, metrics))
      return button
    }
    button.dataset.place = place
    button.dataset.sheet = data.sheet
    const rows = Math.ceil(data.order.length / data.columns)
    const [x, y] = [place % data.columns, Math.floor(place / data.columns)]
    const along = (at, count) => (count > 1 ? (100 * at) / (count - 1) : 0)
    Object.assign(button.firstChild.style, {
      backgroundImage: `url("${data.sheet}")`,
      backgroundSize: `${100 * data.columns}% ${100 * rows}%`,
      backgroundPosition: `${along(x, data.columns)}% ${along(y, rows)}%`,
    })
    setText(button.lastChild, this.caption(place, metrics))
    return button
  }

  caption(place, metrics) {
    const scores = this.scoresOf(place)
    const words = live.listensTo(live.page.rule).map((metric) => {
      const score = Number(scores[metric])
      const mark = live.refuses(metric, scores, this.data.predictions[place]) ? "⊘" : "✓"
      return `${mark} ${this.data.titles[metric]} ${score === Infinity ? "∞" : score.toFixed(metrics[metric].digits)}`
    })
    return `${this.data.claims[place]}: ${words.join(" ")}`
  }
}
