// What every drawing and every number of the page follows while a line is moved. It is put in front of the scripts of all
// drawings: the page has one `live`, whichever of them comes first.
//
// Python owns thresholds and rule, and says them on every run. While a hand holds a line the browser has the scores, and
// works out the rule itself: counts, verdicts and sentences are written into the elements that Python made for them
// (data-live, data-live-verdict), and the other drawings are drawn again, all in one frame.

class Live {
  constructor() {
    this.columns = new Map() // metric -> [scores of the reference, scores of the comparison], in the sets' order
    this.thresholds = new Map() // metric -> the threshold on screen
    this.held = new Map() // metric -> the drawing whose hand moved it, until Python has taken that in
    this.drawings = new Set() // callbacks, called in a frame after something moved
    this.page = null // what Python says of the rule; see live.py
    this.masks = new Map()
    this.bounds = new Map() // digest -> bounds of the FPR, by the number of good inputs refused
  }

  // ---- What moves ----

  // A hand moved these metrics' thresholds.
  move(drawing, values) {
    for (const [metric, value] of Object.entries(values)) {
      this.held.set(metric, drawing)
      this.thresholds.set(metric, value)
    }
    this.schedule()
  }

  // Python has taken in what this drawing's hand did.
  letGo(drawing) {
    for (const [metric, holder] of this.held) if (holder === drawing) this.held.delete(metric)
  }

  // What Python says of thresholds; the hand's word counts for more.
  say(values) {
    for (const [metric, value] of Object.entries(values)) if (!this.held.has(metric)) this.thresholds.set(metric, value)
    this.schedule()
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null
      for (const draw of [...this.drawings]) draw()
      if (this.page) this.write()
      // A run that began before the release may still bring elements with older numbers.
      if (this.held.size) this.schedule()
    })
  }

  // ---- The rule, as robust/decision/rule.py has it ----

  // Which of a set (0 the reference, 1 the comparison) a metric refuses; null while its scores are on their way.
  mask(metric, set) {
    const scores = this.columns.get(metric)?.[set]
    const threshold = this.thresholds.get(metric)
    if (!scores || threshold === undefined) return null
    const known = this.masks.get(metric + set)
    if (known?.scores === scores && known.threshold === threshold) return known.mask
    const mask = new Uint8Array(scores.length)
    const low = this.page.metrics[metric].refuses === "low"
    const classes = this.columns.get("prediction")?.[set]
    for (let i = 0; i < scores.length; i++) {
      const t = classes ? this.thresholdFor(metric, classes[i]) : threshold
      mask[i] = low ? scores[i] < t : scores[i] > t
    }
    this.masks.set(metric + set, { scores, threshold, mask })
    return mask
  }

  // Where each predicted class has a threshold of its own, it holds until the line is moved.
  thresholdFor(metric, prediction) {
    const { by_class: byClass, threshold } = this.page.metrics[metric]
    const now = this.thresholds.get(metric)
    return byClass && now === threshold ? (byClass[prediction] ?? now) : now
  }

  listensTo(rule) {
    return rule === "any" || rule === "all" ? Object.keys(this.page.metrics) : [rule]
  }

  // How many of a set a rule ("any", "all" or a metric) refuses, and how many there are; null without the scores.
  count(rule, set) {
    const masks = this.listensTo(rule).map((metric) => this.mask(metric, set))
    if (masks.includes(null)) return null
    const total = masks[0].length
    let refused = 0
    for (let i = 0; i < total; i++) {
      const word = rule === "all" ? masks.every((mask) => mask[i]) : masks.some((mask) => mask[i])
      if (word) refused++
    }
    return { refused, total }
  }

  // Shares: of good inputs refused, of the comparison set accepted.
  rates(rule) {
    const [good, nonsense] = [this.count(rule, 0), this.count(rule, 1)]
    return good && nonsense && { fpr: good.refused / good.total, fnr: 1 - nonsense.refused / nonsense.total }
  }

  refuses(metric, scores, prediction) {
    const score = Number(scores[metric])
    const threshold = this.thresholdFor(metric, prediction)
    return this.page.metrics[metric].refuses === "low" ? score < threshold : score > threshold
  }

  // Whether a rule refuses one input, whose scores are given by metric.
  refusesBy(rule, scores, prediction) {
    const words = this.listensTo(rule).map((metric) => this.refuses(metric, scores, prediction))
    return rule === "all" ? words.every(Boolean) : words.some(Boolean)
  }

  // ---- Writing it into the page ----

  write() {
    const texts = this.texts()
    for (const element of document.querySelectorAll("[data-live]")) {
      const text = texts[element.dataset.live]
      if (text !== undefined && element.textContent !== text) element.textContent = text
    }
    const refused = this.verdicts()
    for (const element of document.querySelectorAll("[data-live-verdict]")) {
      const word = refused[element.dataset.liveVerdict]
      if (word === undefined) continue
      element.classList.toggle("unreliable", word)
      element.classList.toggle("reliable", !word)
      const text = word ? element.dataset.unreliable : element.dataset.reliable
      if (text !== undefined && element.textContent !== text) element.textContent = text
    }
  }

  texts() {
    const { rule, metrics, input, reasons, interval } = this.page
    const texts = {}
    const [good, nonsense] = [this.count(rule, 0), this.count(rule, 1)]
    if (good && nonsense) {
      const counts = {
        "good refused": [good.refused, good.total],
        "good accepted": [good.total - good.refused, good.total],
        "nonsense refused": [nonsense.refused, nonsense.total],
        "nonsense accepted": [nonsense.total - nonsense.refused, nonsense.total],
      }
      for (const [name, [count, total]] of Object.entries(counts)) {
        texts[name] = grouped.format(count)
        texts[`${name} share`] = `${((100 * count) / total).toFixed(2)}%`
        texts[`${name} of 100`] = inHundred(count / total)
      }
      const bounds = this.bounds.get(interval)
      if (bounds) bounds.forEach((ends, i) => (texts[`bound ${i}`] = `${(100 * ends[good.refused]).toFixed(2)}%`))
    }
    for (const [metric, { digits }] of Object.entries(metrics)) {
      const threshold = this.thresholds.get(metric)
      if (threshold === undefined) continue
      texts[`threshold ${metric}`] = threshold.toFixed(digits)
      if (input) texts[`times ${metric}`] = times(Number(input.scores[metric]), threshold)
    }
    if (input && reasons) {
      const names = Object.keys(metrics)
      const refused = names.reduce((sum, name, i) => sum + (this.refuses(name, input.scores, input.prediction) << i), 0)
      texts.reason = reasons[refused]
    }
    return texts
  }

  verdicts() {
    const { rule, metrics, input } = this.page
    if (!input) return {}
    const words = { rule: this.refusesBy(rule, input.scores, input.prediction) }
    for (const metric of Object.keys(metrics)) words[metric] = this.refuses(metric, input.scores, input.prediction)
    return words
  }
}

const grouped = new Intl.NumberFormat("en-GB")

// As `in_hundred` and `times` of live.py say it.
function inHundred(share) {
  if (share === 0) return "none"
  if (share === 1) return "all"
  const of100 = 100 * share
  return of100 < 0.95 ? `${grouped.format(Math.max(1, Math.round(10000 * share)))} in 10,000` : `${Math.round(of100)} in 100`
}

function times(score, threshold) {
  return threshold > 0 ? `, ${(score / threshold).toFixed(1)} times` : "; it is above"
}

const live = (globalThis.robustLive ??= new Live())
