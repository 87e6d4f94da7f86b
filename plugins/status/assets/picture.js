// The picture: resolvers on the left, name servers on the right, and a line for each
// path by which queries come. Its width is queries per second, smoothed; its color
// and its dashes are the path. What a finding is about is amber.

import { byId, el, reconcile, setAttributes, setText, svg } from './dom.js';
import { ago, count, pathWords, rate, undot } from './format.js';
import { layout } from './picturelayout.js';

const paths = ['iterative', 'forwarded', 'direct'];
const most = 9; // resolvers drawn
const smoothing = 0.45; // weight of the newest poll

/** picture keeps the map up to date. */
export function picture() {
  const map = byId('map');
  if (!map) return {};
  const rates = new Map(); // resolver, server and path to queries per second
  let last = null; // the poll before: when, and its counts
  let view = null;

  function measure(delegation, at) {
    const counts = new Map();
    for (const r of everyone(delegation)) {
      for (const [ns, seen] of Object.entries(r.queries.by_ns)) {
        for (const path of paths) counts.set(lineKey(r.name, ns, path), share(r, seen, path));
      }
    }
    const seconds = last ? (at - last.at) / 1000 : 0;
    if (seconds > 0.2) {
      for (const [key, n] of counts) {
        const now = Math.max(0, n - (last.counts.get(key) ?? n)) / seconds;
        const before = rates.get(key) ?? now;
        const smooth = before + (now - before) * smoothing;
        rates.set(key, smooth < 0.02 ? 0 : smooth);
      }
      for (const key of rates.keys()) if (!counts.has(key)) rates.delete(key);
    }
    if (!last || seconds > 0.2) last = { at, counts };
  }

  function draw() {
    if (!view) return;
    const width = Math.max(300, Math.round(map.parentElement.clientWidth));
    render(map, scene(view, rates, width));
  }
  new ResizeObserver(draw).observe(map.parentElement);
  point(byId('findings'), map);

  return {
    update({ at, delegation, status }) {
      if (!delegation) return;
      measure(delegation, at);
      view = { delegation, stamp: status?.stamp || view?.stamp || null, now: status?.now || new Date().toISOString() };
      draw();
    },
  };
}

/** point shows in the picture whom the finding under the pointer is about. */
function point(findings, map) {
  findings?.addEventListener('pointerover', (event) => {
    const name = event.target.closest('.finding')?.dataset.resolver;
    for (const node of map.querySelectorAll('.picked')) node.classList.remove('picked');
    if (name) map.querySelector(`[data-node="resolver ${CSS.escape(name)}"]`)?.classList.add('picked');
  });
  findings?.addEventListener('pointerleave', () => map.querySelector('.picked')?.classList.remove('picked'));
}

const lineKey = (resolver, ns, path) => `${resolver} ${ns} ${path}`;

/** The resolvers, and all others where any came. */
function everyone(delegation) {
  const all = [...delegation.resolvers];
  if (delegation.others.queries.total > 0) all.push(delegation.others);
  return all;
}

/** How many of a resolver's queries to a server came by a path. */
function share(resolver, seen, path) {
  if (seen.by_path) return seen.by_path[path] || 0;
  const { total, by_path: all } = resolver.queries;
  return total ? (seen.queries * all[path]) / total : 0;
}

/** scene says what is to be drawn, without where. */
function scene({ delegation, stamp, now }, rates, width) {
  const warnings = delegation.findings.filter((f) => f.level === 'warning');
  const about = (name) => warnings.filter((f) => f.resolver === name);
  const servers = delegation.name_servers.map((label) => {
    const known = stamp?.name_servers?.find((ns) => ns.label === label);
    return { label, name: known?.name || label, address: (known?.addresses || []).join(', '), rate: 0 };
  });
  const resolvers = everyone(delegation).map((r) => {
    const found = about(r.name);
    const ports = servers.map((ns) => {
      const seen = r.queries.by_ns[ns.label] || { queries: 0 };
      const lines = paths
        .map((path) => ({ path, total: share(r, seen, path), rate: rates.get(lineKey(r.name, ns.label, path)) || 0 }))
        .filter((line) => line.total > 0);
      const q = lines.reduce((sum, line) => sum + line.rate, 0);
      ns.rate += q;
      const silent = seen.queries === 0 && found.some((f) => f.id === 'one-server' || f.id === 'stale-glue');
      return { ns: ns.label, total: seen.queries, rate: q, lines, silent };
    });
    return { name: r.name, learned: r.learned || r === delegation.others, total: r.queries.total, rate: ports.reduce((sum, p) => sum + p.rate, 0), seen: r.last_seen, ports, found, words: wayWords(r.queries.by_path) };
  });
  const drawn = resolvers.length > most ? pick(resolvers) : resolvers;
  const parent = stamp ? {
    name: undot(stamp.domain || ''),
    wrong: warnings.some((f) => atParent.includes(f.id) && delegated(delegation, f.resolver)),
    zones: [stamp.external_zone, stamp.cloudapp_zone].filter(Boolean).map(undot),
  } : null;
  return { width, now, servers, resolvers: drawn, hidden: resolvers.length - drawn.length, parent };
}

/** Findings that the parent zone may be to blame for. */
const atParent = ['wrong-cut', 'stale-glue', 'one-server', 'cloudapp-missing'];

/** Whether a resolver, or any where no name is given, comes by delegation. */
function delegated(delegation, name) {
  return everyone(delegation).some((r) => (!name || r.name === name) && r.queries.by_path.iterative > 0);
}

/** Of many resolvers those that have a name, then those with warnings, then the busiest; in the order that they had. */
function pick(resolvers) {
  const busiest = [...resolvers].sort((a, b) => a.learned - b.learned || b.found.length - a.found.length || b.rate - a.rate || b.total - a.total).slice(0, most);
  return resolvers.filter((r) => busiest.includes(r));
}

function wayWords(byPath) {
  const used = paths.filter((path) => byPath[path] > 0);
  return used.length ? used.map((path) => pathWords[path]).join(' + ') : 'has not asked';
}

function render(map, what) {
  const places = layout(what);
  setAttributes(map, { viewBox: `0 0 ${places.width} ${places.height}`, width: places.width, height: places.height, class: 'drawn', 'aria-label': 'Which resolver asks which name server', 'aria-labelledby': null, 'aria-describedby': 'map-sentences', preserveAspectRatio: null });
  if (!map.querySelector(':scope > g.nodes')) {
    map.replaceChildren(svg('g', { class: 'lines' }), svg('g', { class: 'nodes' }));
    setText(byId('map-caption'), 'A line is as wide as its queries per second now; the picture moves every two seconds.');
  }
  reconcile(map.firstElementChild, places.lines, (l) => l.key,
    () => svg('path', { fill: 'none' }, svg('title')),
    (node, l) => {
      setAttributes(node, { d: l.d, class: l.class, 'stroke-width': l.width, 'data-resolver': l.resolver, 'data-ns': l.ns, 'data-path': l.path });
      setText(node.firstChild, l.title);
    });
  reconcile(map.lastElementChild, places.nodes, (n) => n.key,
    (n) => svg('g', { 'data-node': n.key }, svg('title'), svg('rect', { rx: 5 })),
    (node, n) => {
      setAttributes(node, { class: `node ${n.class}` });
      setText(node.firstChild, n.title);
      setAttributes(node.children[1], { x: n.x, y: n.y, width: n.w, height: n.h });
      texts(node, n.texts);
    });
  sentences(what);
}

/** texts makes the texts of a node those that are given. */
function texts(node, wanted) {
  while (node.children.length > wanted.length + 2) node.lastElementChild.remove();
  while (node.children.length < wanted.length + 2) node.append(svg('text'));
  wanted.forEach((t, i) => {
    const text = node.children[i + 2];
    setAttributes(text, { x: t.x, y: t.y, class: t.class, 'text-anchor': t.anchor });
    setText(text, t.text);
  });
}

/** sentences are the picture for those who do not see it. */
function sentences({ resolvers, now }) {
  const list = byId('map-sentences');
  if (!list) return;
  reconcile(list, resolvers, (r) => r.name, () => el('li'), (item, r) => {
    const ports = r.ports.map((p) => (p.total ? `${rate(p.rate)} queries per second to ${p.ns}, ${count(p.total)} in all` : `none to ${p.ns}`));
    setText(item, `${r.name}, ${r.words}: ${ports.join('; ')}; last seen ${ago(r.seen, now)}.`);
  });
}
