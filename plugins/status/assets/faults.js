// The faults: what is broken on purpose, for how long still, and a form to break more.

import { send } from './api.js';
import { byId, el, reconcile, setText } from './dom.js';
import { attempt, form } from './form.js';
import { count, duration } from './format.js';

/** faults keeps the table of faults up to date, and lets the form work. */
export function faults(refresh) {
  const body = byId('fault-table')?.tBodies[0];
  if (!body) return {};
  const ends = new Map(); // row to when its fault ends, by the browser's clock

  form('fault-form', async (values, node) => {
    const fault = await send('POST', '/faults', request(values));
    node.reset();
    refresh();
    return `Fault ${fault.id} is in use.`;
  });

  const act = (id, method, body) => attempt(byId('fault-form'), async () => {
    await send(method, `/faults/${encodeURIComponent(id)}`, body);
    refresh();
    return '';
  });

  setInterval(() => {
    if (document.hidden) return;
    for (const [row, end] of ends) {
      if (row.isConnected) left(row, end);
      else ends.delete(row);
    }
  }, 1000);

  return {
    update({ faults: now }) {
      if (!now) return;
      const all = [...now.faults, ...now.ended.map((f) => ({ ...f, over: true }))];
      reconcile(body, all, (f) => `${f.id} ${f.started_at} ${f.over ? 'over' : ''}`, (f) => newRow(f, act), (row, f) => {
        fill(row, f);
        if (f.over) ends.delete(row);
        else {
          ends.set(row, performance.now() + f.remaining_seconds * 1000);
          left(row, ends.get(row));
        }
      });
      if (all.length === 0 && body.rows.length === 0) body.append(el('tr', { class: 'none' }, el('td', { colspan: 5 }, 'None: all answers are as they should be.')));
      const acting = now.faults.filter((f) => f.enabled).length;
      const badge = byId('faults-count');
      setText(badge, acting ? `${acting} in use` : 'none in use');
      badge?.classList.toggle('bad', acting > 0);
      document.documentElement.classList.toggle('faulty', acting > 0);
    },
  };
}

/** request is what the form says, as the API wants it. Empty fields are not said. */
function request(values) {
  const text = (name) => (values.get(name) || '').trim();
  const list = (name) => text(name).split(/[\s,]+/).filter(Boolean);
  const fault = { kind: text('kind') };
  for (const name of ['ns', 'name', 'type', 'transport', 'client', 'resolver', 'arguments']) {
    if (list(name).length) fault[name] = list(name);
  }
  // The time of delay is a part of its own, though rules have it as an argument.
  if (fault.kind === 'delay' && fault.arguments) {
    fault.delay = fault.arguments.shift();
    if (fault.arguments.length === 0) delete fault.arguments;
  }
  for (const name of ['for', 'delay', 'jitter', 'as']) {
    if (text(name)) fault[name] = text(name);
  }
  for (const name of ['probability', 'every', 'count']) {
    if (text(name)) fault[name] = Number(text(name));
  }
  return fault;
}

function newRow(f, act) {
  const row = el('tr', { 'data-fault': f.id }, el('th', { scope: 'row' }), el('td', { class: 'rule' }, el('code')), el('td', { class: 'number' }), el('td', { class: 'left' }), el('td', { class: 'act' }));
  if (!f.over) {
    row.lastChild.append(
      el('button', { type: 'button', class: 'small switch fault-switch', 'data-fault': f.id, role: 'switch', 'aria-label': `Fault ${f.id} acts`, onclick: (event) => act(f.id, 'PATCH', { enabled: event.currentTarget.getAttribute('aria-checked') !== 'true' }) }),
      el('button', { type: 'button', class: 'small fault-clear', 'data-fault': f.id, 'aria-label': `Clear fault ${f.id}`, onclick: () => act(f.id, 'DELETE') }, 'Clear'));
  }
  return row;
}

function fill(row, f) {
  const [name, rule, hits, time, act] = row.cells;
  setText(name, f.id);
  setText(rule.firstChild, f.rule);
  setText(hits, count(f.hits) + (f.count ? ` of ${count(f.count)}` : ''));
  row.className = f.over ? 'over' : f.enabled ? 'acting' : 'off';
  if (f.over) {
    setText(time, f.ended_by ? `ended: ${f.ended_by}` : 'ended');
    return;
  }
  const toggle = act.firstChild;
  toggle.setAttribute('aria-checked', String(f.enabled));
  setText(toggle, f.enabled ? 'On' : 'Off');
}

function left(row, end) {
  setText(row.cells[3], duration((end - performance.now()) / 1000));
}
