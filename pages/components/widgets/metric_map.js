// The browser's half of metric_map.py.

const DARKEST = 55 // per cent of colour in a cell of 100 %: text on it stays legible
const KEYS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  let root = parentElement.querySelector(".map")
  if (!root) {
    root = document.createElement("div")
    root.className = "map"
    parentElement.append(root)
  }
  const signature = JSON.stringify([data.columns, data.rows])
  if (root.dataset.signature !== signature) {
    root.dataset.signature = signature
    root.replaceChildren(table(data))
  }
  const buttons = [...root.querySelectorAll("button")]
  const chosen = ({ dataset }) => dataset.row === data.chosen[0] && dataset.column === data.chosen[1]
  const reachable = buttons.find(chosen) ?? buttons[0] // one stop of the Tab key; arrows go on from there
  for (const button of buttons) {
    button.setAttribute("aria-pressed", chosen(button))
    button.tabIndex = button === reachable ? 0 : -1
    button.onclick = () => setTriggerValue("picked", [button.dataset.row, button.dataset.column])
    button.onkeydown = (event) => step(event, button, buttons, data.columns.length)
  }
}

function step(event, button, buttons, width) {
  if (!(event.key in KEYS)) return
  event.preventDefault()
  const at = buttons.indexOf(button)
  const [down, right] = KEYS[event.key]
  const column = (at % width) + right
  const to = buttons[at + down * width + right]
  if (!to || column < 0 || column >= width) return
  button.tabIndex = -1
  to.tabIndex = 0
  to.focus()
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

function table(data) {
  const isFirst = (i) => data.columns[i].group !== data.columns[i - 1]?.group
  const groups = data.columns.filter((_, i) => isFirst(i)).map(({ group }) => group)
  const spans = groups.map((group) =>
    element(
      "th",
      {
        className: "group",
        scope: "colgroup",
        colSpan: data.columns.filter((column) => column.group === group).length,
      },
      element("span", { textContent: group }), // it stays in sight while the table is scrolled
    ),
  )
  const sets = data.columns.map(({ title, says }) =>
    element("th", { className: "set", scope: "col", title: says }, element("span", { textContent: title })),
  )
  const head = element(
    "thead",
    {},
    element("tr", {}, element("td"), ...spans),
    element("tr", {}, element("td"), ...sets),
  )
  const body = element("tbody", {}, ...data.rows.map((row) => line(row, data.columns, isFirst)))
  const made = element("table", {}, head, body)
  made.setAttribute("aria-label", data.label)
  return made
}

function line(row, columns, isFirst) {
  const isOurs = /^[★◆]/.test(row.title)
  const name = element("th", { scope: "row", textContent: row.title, className: isOurs ? "ours" : "" })
  return element("tr", {}, name, ...columns.map((column, i) => cell(row, column, row.shares[i], isFirst(i))))
}

function cell(row, column, share, first) {
  const shown = share === null ? "–" : shortened(share)
  const button = element("button", { type: "button", textContent: shown })
  Object.assign(button.dataset, { row: row.key, column: column.key })
  button.style.setProperty("--bad", `${DARKEST * Math.sqrt(share ?? 0)}%`)
  button.setAttribute("aria-label", `${row.title}, ${column.title}: ${shown} % ${column.says}`)
  return element("td", { className: first ? "first" : "" }, button)
}

// Per cent, in three characters.
function shortened(share) {
  const per = 100 * share
  return per === 0 ? "0" : per < 9.95 ? per.toFixed(1) : per.toFixed(0)
}
