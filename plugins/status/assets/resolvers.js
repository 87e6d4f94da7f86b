// The resolvers, and what their queries prove that they can do.

import { byId, el, reconcile, setText, tick } from './dom.js';
import { ago, count } from './format.js';

const paths = ['iterative', 'forwarded', 'direct'];

/** resolvers keeps the table of resolvers up to date. Its head says which capabilities. */
export function resolvers() {
  const table = byId('resolver-table');
  if (!table) return {};
  const body = table.tBodies[0];
  const capabilities = [...table.tHead.querySelectorAll('th[data-capability]')].map((th) => ({ key: th.dataset.capability, words: th.title || th.textContent }));
  return {
    update({ delegation, status }) {
      if (!delegation) return;
      const now = status?.now || new Date().toISOString();
      const all = [...delegation.resolvers];
      if (delegation.others.queries.total > 0) all.push(delegation.others);
      if (all.length === 0) return;
      reconcile(body, all, (r) => r.name, (r) => newRow(r, capabilities), (row, r) => fill(row, r, capabilities, now, delegation.findings));
    },
  };
}

function newRow(r, capabilities) {
  return el('tr', { 'data-resolver': r.name }, el('th', { scope: 'row' }), el('td', { class: 'networks' }), el('td', { class: 'number total' }),
    ...paths.map((path) => el('td', { class: `number path-${path}` })), el('td', { class: 'last' }),
    ...capabilities.map(({ key }) => el('td', { class: 'capability', 'data-capability': key })));
}

function fill(row, r, capabilities, now, findings) {
  const wrong = findings.filter((f) => f.resolver === r.name && f.level === 'warning');
  row.classList.toggle('amber', wrong.length > 0);
  row.title = wrong.map((f) => f.text).join('\n');
  const texts = [r.name, r.networks.join(', ') || '–', count(r.queries.total), ...paths.map((path) => count(r.queries.by_path[path])), ago(r.last_seen, now)];
  texts.forEach((text, i) => setText(row.cells[i], text));
  paths.forEach((path, i) => row.cells[3 + i].classList.toggle('zero', r.queries.by_path[path] === 0));
  capabilities.forEach(({ key, words }, i) => {
    const cell = row.cells[texts.length + i];
    const yes = Boolean(r.capabilities[key]);
    if (cell.dataset.yes === String(yes)) return;
    cell.dataset.yes = yes;
    cell.replaceChildren(tick(yes, `${words}: ${yes ? 'seen' : 'not seen'}`));
  });
}
