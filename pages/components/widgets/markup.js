// HTML from Python as nodes, without whatever could run: names in it may come from a guard that a stranger made. It is put
// in front of the scripts that use it.

function nodesOf(html) {
  const page = new DOMParser().parseFromString(html, "text/html")
  page.querySelectorAll("script, iframe, object, embed, link, style").forEach((node) => node.remove())
  page.querySelectorAll("*").forEach((node) =>
    [...node.attributes].filter(({ name }) => name.startsWith("on")).forEach(({ name }) => node.removeAttribute(name))
  )
  return [...page.body.childNodes]
}
