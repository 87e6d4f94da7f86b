// The endpoints: a table to search and to take along, with a tick for each resolver
// that a query came from.

import { announce, byId, el, reconcile, setAttributes, setText, tick } from './dom.js';
import { ago } from './format.js';

const columns = 12; // resolvers shown, as the server does

/** endpoints keeps the table of endpoints up to date. */
export function endpoints() {
  const table = byId('endpoint-table');
  if (!table) return {};
  const body = table.tBodies[0] || table.createTBody();
  const input = byId('endpoint-filter');
  let last = null;
  let chosen = []; // the endpoints that are shown

  function show() {
    if (!last) return;
    const { endpoints: all, resolvers, now } = last;
    const words = (input?.value || '').toLowerCase().split(/\s+/).filter(Boolean);
    const shown = all.filter((e) => {
      const text = `${e.name} ${e.service} ${e.address} ${e.ports} ${e.zone}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    head(table, resolvers);
    reconcile(body, shown, (e) => `${e.name} ${e.address}`, (e) => el('tr', { 'data-endpoint': e.name }, el('th', { scope: 'row', class: 'name' }), el('td', { class: 'address' }), el('td', { class: 'ports' }), el('td', { class: 'service' })),
      (row, e) => fill(row, e, resolvers, now));
    const some = all.filter((e) => Object.keys(e.seen).length > 0).length;
    setText(byId('endpoints-progress'), `${some} of ${all.length} endpoints have been asked for${words.length ? `; ${shown.length} shown` : ''}.`);
    const bar = byId('endpoints-bar');
    if (bar) setAttributes(bar, { value: some, max: all.length, hidden: null });
    const none = byId('no-columns');
    if (none) none.hidden = resolvers.length > 0;
    chosen = shown;
  }

  input?.closest('form')?.addEventListener('submit', (event) => event.preventDefault());
  input?.addEventListener('input', show);
  if (input) input.disabled = false;
  byId('endpoints-link')?.setAttribute('hidden', '');
  button('endpoints-copy', () => copy(rows(chosen, last)));
  button('endpoints-csv', () => download(rows(chosen, last)));

  return {
    update({ status }) {
      if (!status) return;
      last = { endpoints: status.endpoints || [], resolvers: (status.resolvers || []).slice(0, columns), now: status.now };
      show();
    },
  };
}

/** between makes the cells after the first and before the last three as many as names, and gives them. */
function between(row, names, make) {
  const others = 4;
  while (row.cells.length > others + names.length) row.cells[1].remove();
  while (row.cells.length < others + names.length) row.cells[1].before(make());
  return names.map((_, i) => row.cells[1 + i]);
}

function head(table, resolvers) {
  const cells = between(table.tHead.rows[0], resolvers, () => el('th', { scope: 'col', class: 'tick' }));
  resolvers.forEach((name, i) => {
    setAttributes(cells[i], { 'data-resolver': name });
    setText(cells[i], name);
  });
}

function fill(row, endpoint, resolvers, now) {
  const ticks = between(row, resolvers, () => el('td', { class: 'tick' }));
  setText(row.cells[0], endpoint.name);
  const rest = [endpoint.address, endpoint.ports, endpoint.service];
  rest.forEach((text, i) => setText(row.cells[1 + resolvers.length + i], text));
  resolvers.forEach((name, i) => {
    const seen = endpoint.seen[name];
    const words = seen ? `asked for by ${name}, ${ago(seen, now)}` : `not asked for by ${name}`;
    if (ticks[i].dataset.words === words) return;
    ticks[i].dataset.words = words;
    setAttributes(ticks[i], { 'data-resolver': name });
    ticks[i].replaceChildren(tick(Boolean(seen), words));
  });
}

/** rows is the table as lists of texts, with its head. */
function rows(endpoints, data) {
  if (!data) return [];
  const head = ['Name', 'Service', 'Address', 'Ports', 'Zone', ...data.resolvers.map((r) => `Last query of ${r}`)];
  return [head, ...endpoints.map((e) => [e.name, e.service, e.address, e.ports, e.zone, ...data.resolvers.map((r) => e.seen[r] || '')])];
}

function button(id, action) {
  const b = byId(id);
  if (!b) return;
  b.hidden = false;
  b.addEventListener('click', action);
}

async function copy(table) {
  const text = table.map((line) => line.join('\t')).join('\n');
  try {
    await navigator.clipboard.writeText(text);
    announce(`${table.length - 1} endpoints copied`);
  } catch {
    announce('The browser does not let this page copy: use CSV.');
  }
}

/** quote writes a field of a CSV file (RFC 4180), and none that a spreadsheet would run. */
function quote(field) {
  const text = /^[=+\-@\t\r]/.test(field) ? `'${field}` : field;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function download(table) {
  const text = table.map((line) => `${line.map(quote).join(',')}\r\n`).join('');
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
  const link = el('a', { href: url, download: 'endpoints.csv' });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
  announce(`endpoints.csv: ${table.length - 1} endpoints`);
}
