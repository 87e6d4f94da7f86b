// Where the parts of the picture stand, in pixels of the page, so that its texts keep
// their size at any width.

import { ago, count, pathWords, rate } from './format.js';

const row = 19; // height of a line of text in a box
const gap = 14; // between two boxes
const edge = 2; // around the picture

/**
 * layout places what scene says: boxes with their texts, lines with their widths.
 * Each line leaves a resolver at the row that tells of its server.
 */
export function layout(what) {
  const narrow = what.width < 560;
  const box = narrow ? Math.round(what.width * 0.5) : Math.min(270, Math.round(what.width * 0.36));
  const server = narrow ? Math.round(what.width * 0.3) : Math.min(250, Math.round(what.width * 0.29));
  const nodes = [];
  const lines = [];
  let y = edge;
  const parent = what.parent && !narrow ? what.parent : null;
  if (parent) {
    nodes.push(parentNode(parent, box, y));
    y += 44 + gap + 6;
  }
  const ports = new Map(); // resolver and server to where its line begins
  for (const r of what.resolvers) {
    nodes.push(resolverNode(r, what, box, y, narrow, ports));
    y += resolverHeight(what) + gap;
  }
  if (what.resolvers.length === 0) {
    nodes.push({ key: 'nobody', class: 'nobody', x: edge, y, w: box, h: 44, title: 'Nobody has asked yet.', texts: [{ x: 14, y: y + 27, text: 'nobody has asked yet', class: 'muted' }] });
    y += 44 + gap;
  }
  if (what.hidden > 0) {
    nodes.push({ key: 'hidden', class: 'hidden', x: edge, y, w: box, h: 24, title: '', texts: [{ x: 14, y: y + 16, text: `and ${count(what.hidden)} more in the table of resolvers`, class: 'muted' }] });
    y += 24 + gap;
  }
  const height = Math.max(y - gap + edge, 190);
  const ends = servers(what, nodes, server, height);
  for (const r of what.resolvers) connect(r, what, ports, ends, lines);
  if (parent) delegate(parent, box, ends, lines);
  return { width: what.width, height, nodes, lines: lines.sort((a, b) => a.order - b.order) };
}

const resolverHeight = (what) => Math.max(46, 10 + row * Math.max(2, what.servers.length));

function parentNode(parent, box, y) {
  return {
    key: 'parent', class: parent.wrong ? 'parent amber' : 'parent', x: edge, y, w: box, h: 44,
    title: `The parent zone ${parent.name} delegates ${parent.zones.join(' and ')}.`,
    texts: [
      { x: 14, y: y + 18, text: parent.name, class: 'name' },
      { x: 14, y: y + 35, text: parent.wrong ? '⚠ parent zone: look at its delegation' : 'parent zone: NS and glue', class: parent.wrong ? 'small warn' : 'small' },
    ],
  };
}

function resolverNode(r, what, box, y, narrow, ports) {
  const h = resolverHeight(what);
  const texts = [
    { x: 14, y: y + 19, text: shorten(r.name, narrow ? 9 : 17), class: 'name' },
    { x: 14, y: y + 37, text: narrow ? ago(r.seen, what.now) : `${r.words} · ${ago(r.seen, what.now)}`, class: 'small' },
  ];
  if (!narrow && r.ports.length < 2) texts[1].y = y + 37;
  r.ports.forEach((p, i) => {
    const at = y + h / 2 + (i - (r.ports.length - 1) / 2) * row;
    ports.set(`${r.name} ${p.ns}`, { x: edge + box, y: at });
    let text = p.total ? `${rate(p.rate)}/s` : 'none';
    if (p.silent) text = '⚠ never';
    texts.push({ x: edge + box - 9, y: at + 4, anchor: 'end', text: `${p.ns} ${text}`, class: p.silent ? 'port warn' : p.total ? 'port' : 'port muted' });
  });
  // The words must leave the rows of the servers their room.
  if (!narrow && r.words.length > 12) texts[1].text = `${r.words}`;
  if (narrow) texts[1].text = shorten(texts[1].text, 10);
  return {
    key: `resolver ${r.name}`, class: r.found.length ? 'resolver amber' : r.total ? 'resolver' : 'resolver silent',
    x: edge, y, w: box, h, texts,
    title: `${r.name}: ${count(r.total)} queries, ${r.words}.${r.found.map((f) => ` ${f.text}`).join('')}`,
  };
}

function servers(what, nodes, width, height) {
  const ends = new Map();
  const h = 62;
  const n = what.servers.length;
  const x = what.width - width - edge;
  what.servers.forEach((ns, i) => {
    const middle = (height * (i + 0.5)) / n;
    const y = Math.round(Math.min(Math.max(middle - h / 2, edge), height - h - edge));
    const texts = [
      { x: x + 14, y: y + 21, text: ns.label, class: 'name' },
      { x: x + width - 12, y: y + 21, anchor: 'end', text: `${rate(ns.rate)}/s`, class: 'port' },
    ];
    if (width > 150) {
      texts.push({ x: x + 14, y: y + 38, text: shorten(ns.name, Math.floor((width - 20) / 6.6)), class: 'small' });
      if (ns.address) texts.push({ x: x + 14, y: y + 53, text: shorten(ns.address, Math.floor((width - 20) / 6.6)), class: 'small' });
    }
    nodes.push({ key: `ns ${ns.label}`, class: 'server', x, y, w: width, h, texts, title: `${ns.label}: ${ns.name} ${ns.address}, ${rate(ns.rate)} queries per second` });
    ends.set(ns.label, { x, y, h, used: 0 });
  });
  return ends;
}

/** strokeWidth grows with the root of the rate: ten times the queries are three times the width. */
const strokeWidth = (q) => Math.min(15, q > 0 ? 1.4 + 0.85 * Math.sqrt(q) : 1.2).toFixed(1);

function connect(r, what, ports, ends, lines) {
  const index = what.resolvers.indexOf(r);
  for (const p of r.ports) {
    const from = ports.get(`${r.name} ${p.ns}`);
    const to = ends.get(p.ns);
    const spread = to.h - 16;
    const n = what.resolvers.length;
    const y = to.y + 8 + (spread * (index + 0.5)) / n;
    const wrong = r.found.length > 0;
    if (p.silent) {
      lines.push({ key: `silent ${r.name} ${p.ns}`, order: 1, d: curve(from, { x: to.x, y }), path: 'silent', class: 'line silent amber', width: 1.6, resolver: r.name, ns: p.ns, title: r.found.map((f) => f.text).join(' ') });
    }
    p.lines.forEach((line, i) => {
      const offset = (i - (p.lines.length - 1) / 2) * 6;
      const d = curve({ x: from.x, y: from.y + offset / 2 }, { x: to.x, y: y + offset });
      const width = strokeWidth(line.rate);
      const key = `${r.name} ${p.ns} ${line.path}`;
      if (wrong) lines.push({ key: `halo ${key}`, order: 0, d, class: 'halo amber', width: Number(width) + 6, resolver: r.name, ns: p.ns, title: '' });
      lines.push({
        key, order: 2, d, width, path: line.path, resolver: r.name, ns: p.ns,
        class: `line path-${line.path}${line.rate > 0 ? ' busy' : ' idle'}${wrong ? ' amber' : ''}`,
        title: `${r.name} to ${p.ns} by ${pathWords[line.path]}: ${rate(line.rate)} queries per second, ${count(line.total)} in all.${r.found.map((f) => ` ${f.text}`).join('')}`,
      });
    });
  }
}

function delegate(parent, box, ends, lines) {
  for (const [label, to] of ends) {
    lines.push({
      key: `parent ${label}`, order: -1, resolver: '', ns: label, width: 1,
      d: curve({ x: edge + box, y: edge + 22 }, { x: to.x, y: to.y + 4 }),
      class: parent.wrong ? 'line parent amber' : 'line parent', title: `The parent should name ${label} for ${parent.zones.join(' and ')}.`,
    });
  }
}

/** curve is a path that leaves and arrives level. */
function curve(from, to) {
  const bend = (to.x - from.x) * 0.5;
  const at = (v) => Math.round(v * 10) / 10;
  return `M${at(from.x)} ${at(from.y)}C${at(from.x + bend)} ${at(from.y)} ${at(to.x - bend)} ${at(to.y)} ${at(to.x)} ${at(to.y)}`;
}

const shorten = (text, most) => (text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text);
