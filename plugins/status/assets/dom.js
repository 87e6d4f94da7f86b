// Makes and fills elements. What comes from the wire only ever becomes a text node
// or the value of an attribute that holds no code, so that no name is markup.

const svgSpace = 'http://www.w3.org/2000/svg';

/** byId returns the element with an id, or null where the page has none. */
export const byId = (id) => document.getElementById(id);

/**
 * el makes an HTML element. Attributes that are false or null are left out; those
 * beginning with "on" are listeners. Children are nodes or texts.
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** svg makes an SVG element, as el does. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(svgSpace, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** setText gives a node a text, and leaves it alone where it has that text. */
export function setText(node, text) {
  if (node && node.textContent !== String(text)) node.textContent = text;
}

/** setAttributes writes the attributes that differ; null removes one. */
export function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
  }
}

/**
 * reconcile makes the children of parent those of items, in order. A node is made
 * once for a key and filled again each time, so that focus, selection and what
 * somebody types in it stay. Children that have no key, such as rows that the
 * server wrote, go.
 */
export function reconcile(parent, items, key, make, refill) {
  const old = new Map();
  for (const node of [...parent.children]) {
    if (node.reconcileKey === undefined) node.remove();
    else old.set(node.reconcileKey, node);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const id = key(item);
    let node = old.get(id);
    if (node) old.delete(id);
    else {
      node = make(item);
      node.reconcileKey = id;
    }
    refill?.(node, item);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  for (const node of old.values()) node.remove();
}

/** cells fills the cells of a row with texts or nodes; unchanged texts are left alone. */
export function cells(row, values, tag = 'td') {
  while (row.cells.length < values.length) row.append(el(tag));
  values.forEach((value, i) => {
    if (value instanceof Node) row.cells[i].replaceChildren(value);
    else setText(row.cells[i], value);
  });
}

/** tick is a mark with words for those who do not see it. */
export function tick(yes, words) {
  return el('span', { class: yes ? 'yes' : 'no', title: words },
    el('span', { 'aria-hidden': 'true' }, yes ? '✓' : '–'), el('span', { class: 'visually-hidden' }, words));
}

/** announce says something to screen readers, and shows it for a while. */
export function announce(text) {
  const live = byId('announcer');
  if (!live) return;
  live.textContent = text;
  live.classList.add('shown');
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => {
    live.classList.remove('shown');
    live.textContent = '';
  }, 4000);
}
