// The browser's half of film.py. Streamlit calls the default export on mount and again on every run.

const FRAME_MS = 70
const REST_MS = 1000
const films = new WeakMap()

export default function ({ data, parentElement }) {
  if (!films.has(parentElement)) films.set(parentElement, new Film(parentElement))
  films.get(parentElement).load(data)
  return () => {
    films.get(parentElement)?.stop()
    films.delete(parentElement)
  }
}

class Film {
  constructor(root) {
    this.frame = root.querySelector(".frame")
    this.slider = root.querySelector("input")
    this.name = root.querySelector("output")
    this.button = root.querySelector("button")
    this.mark = root.querySelector(".track i")
    this.slider.oninput = () => {
      this.stop()
      this.show()
    }
    this.button.onclick = () => (this.timer ? this.stop() : this.play())
  }

  load({ frames, names, label, mark }) {
    const same = this.frames && frames.length === this.frames.length && frames.every((f, i) => f === this.frames[i])
    Object.assign(this, { frames, names, rest: mark })
    if (same) return
    this.stop()
    this.slider.max = frames.length - 1
    this.slider.value = 0
    this.slider.setAttribute("aria-label", label)
    this.mark.style.setProperty("--at", mark / (frames.length - 1))
    this.show()
  }

  show() {
    const place = Number(this.slider.value)
    this.frame.replaceChildren(...nodesOf(this.frames[place]))
    this.name.textContent = this.names[place]
    this.slider.setAttribute("aria-valuetext", `${this.names[place]}. ${this.frame.innerText.split("\n")[0]}`)
  }

  play() {
    if (Number(this.slider.value) === this.frames.length - 1) this.slider.value = 0
    this.button.setAttribute("aria-label", "Pause")
    const step = () => {
      if (this.slider.value !== this.slider.max) this.slider.value = Number(this.slider.value) + 1
      this.show()
      if (this.slider.value === this.slider.max) return this.stop()
      this.timer = setTimeout(step, Number(this.slider.value) === this.rest ? REST_MS : FRAME_MS)
    }
    this.show()
    this.timer = setTimeout(step, FRAME_MS)
  }

  stop() {
    clearTimeout(this.timer)
    this.timer = null
    this.button.setAttribute("aria-label", "Play")
  }
}
