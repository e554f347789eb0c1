// An element also within shadow roots, where components live. It is put in front of the scripts that use it.

function findDeep(node, selector) {
  const found = node?.querySelector(selector)
  if (found || !node) return found
  for (const host of node.querySelectorAll("*")) {
    const inside = host.shadowRoot && findDeep(host.shadowRoot, selector)
    if (inside) return inside
  }
}

