// The browser's half of save_plot.py: copies a plot's SVG with its computed styles (a file has no style sheet), puts
// what lies under it (the scatter's canvas), a heading and a legend with it, and hands the file to the visitor.

const STYLES = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray"]
STYLES.push("stroke-linejoin", "paint-order", "font-size", "font-weight", "text-anchor", "display", "visibility")
const SVG = "http://www.w3.org/2000/svg"
const ABOVE = 40 // px for the heading
const BELOW = 34 // px for the legend
const SHARPNESS = 3 // pixels of the PNG for one of the screen

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".save")
  const swatches = ["reference", "comparison"].map((name) => parentElement.querySelector(`.${name}`))
  const colours = swatches.map((swatch) => getComputedStyle(swatch).color)
  root.replaceChildren(
    ...data.plots.map((plot) => {
      const group = document.createElement("div")
      group.textContent = plot.title
      for (const kind of ["svg", "png"]) {
        const button = document.createElement("button")
        button.type = "button"
        button.textContent = kind.toUpperCase()
        button.setAttribute("aria-label", `Save ${plot.title} as ${kind.toUpperCase()}`)
        button.onclick = () => save(plot, kind, colours, getComputedStyle(root))
        group.append(button)
      }
      return group
    }),
  )
}

async function save(plot, kind, colours, style) {
  const chart = findDeep(document.querySelector(`.st-key-${plot.key}`), "svg.chart")
  const text = asFile(chart, plot, colours, style)
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }))
  const blob = kind === "svg" ? url : await asPng(url)
  const link = document.createElement("a")
  link.href = blob
  link.download = `${plot.file_name}.${kind}`
  link.click()
  setTimeout(() => [url, blob].forEach(URL.revokeObjectURL), 10_000)
}

function asFile(chart, plot, colours, style) {
  const { width, height } = chart.getBoundingClientRect()
  const copy = chart.cloneNode(true)
  const originals = [chart, ...chart.querySelectorAll("*")]
  const copies = [copy, ...copy.querySelectorAll("*")]
  originals.forEach((original, i) => {
    const computed = getComputedStyle(original)
    for (const name of STYLES) copies[i].style.setProperty(name, computed.getPropertyValue(name))
  })
  for (const [name, value] of Object.entries({ x: 0, y: ABOVE, width, height })) copy.setAttribute(name, value)

  const file = document.createElementNS(SVG, "svg")
  const add = (name, attributes, text = "") => {
    const element = file.appendChild(document.createElementNS(SVG, name))
    for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value)
    element.textContent = text
  }
  const whole = { width, height: height + ABOVE + BELOW }
  for (const [name, value] of Object.entries({ ...whole, viewBox: `0 0 ${whole.width} ${whole.height}` }))
    file.setAttribute(name, value)
  file.setAttribute("font-family", "system-ui, sans-serif")
  add("rect", { ...whole, fill: style.getPropertyValue("--st-background-color") })
  add("text", { x: 12, y: 26, "font-size": 17, "font-weight": 700, fill: style.color }, plot.heading)
  const canvas = chart.parentElement.querySelector("canvas")
  if (canvas) add("image", { x: 0, y: ABOVE, width, height, href: canvas.toDataURL() })
  file.append(copy)
  plot.legend.forEach(([mark, name], i) => {
    const place = { x: 12 + (i * width) / 2, y: whole.height - 10, "font-size": 16, "font-weight": 600 }
    add("text", { ...place, fill: colours[i] }, `${mark} ${name}`)
  })
  return new XMLSerializer().serializeToString(file)
}

async function asPng(url) {
  const image = new Image()
  image.src = url
  await image.decode()
  const canvas = document.createElement("canvas")
  canvas.width = image.width * SHARPNESS
  canvas.height = image.height * SHARPNESS
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
  return URL.createObjectURL(await new Promise((done) => canvas.toBlob(done, "image/png")))
}
