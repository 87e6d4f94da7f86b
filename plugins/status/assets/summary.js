// The top of the page: whether the server is ready, the zones, and what was found.

import { byId, cells, el, reconcile, setText } from './dom.js';
import { clock, count, duration, undot } from './format.js';

/** summary keeps the header, the zones and the findings up to date. */
export function summary() {
  const zones = byId('zones')?.tBodies[0];
  return {
    update({ status, delegation }) {
      if (status) {
        header(status);
        if (zones) showZones(zones, status.zones || []);
      }
      if (delegation) showFindings(delegation.findings || [], delegation.source_hidden);
    },
  };
}

function header(status) {
  const ready = byId('ready');
  setText(ready, status.ready ? 'ready' : 'not ready');
  if (ready) ready.className = status.ready ? 'ready' : 'not-ready';
  setText(byId('uptime'), `up ${duration((new Date(status.now) - new Date(status.started_at)) / 1000)}`);
  const now = byId('page-time');
  setText(now, `${status.now.slice(0, 10)} ${clock(status.now)} UTC`);
}

function showZones(body, zones) {
  reconcile(body, zones, (z) => z.name,
    (z) => el('tr', { 'data-zone': z.name }, el('th', { scope: 'row' }), el('td', { class: 'number serial' }), el('td', { class: 'number records' }), el('td')),
    (row, z) => {
      row.classList.toggle('bad', !z.loaded || Boolean(z.error));
      const state = (z.loaded ? 'served' : 'not served') + (z.error ? `; the last load failed: ${z.error}` : '');
      cells(row, [undot(z.name), z.serial, count(z.records), state]);
    });
}

/** What the levels are called. */
const levels = { warning: 'Warning', info: 'Note' };

function showFindings(findings, hidden) {
  const list = byId('finding-list');
  if (!list) return;
  const shown = [...findings];
  if (hidden) shown.unshift({ id: 'source-hidden', level: 'warning', text: hidden.text });
  reconcile(list, shown, (f) => [f.id, f.resolver, f.zone].join(' '),
    (f) => el('li', { class: `finding ${f.level === 'warning' ? 'warning' : 'info'}`, 'data-id': f.id, 'data-resolver': f.resolver, 'data-zone': f.zone },
      el('strong', { class: 'level' }, `${levels[f.level] || f.level} `), el('span')),
    (item, f) => setText(item.lastChild, f.text));
  const warnings = shown.filter((f) => f.level === 'warning').length;
  const none = byId('no-findings');
  if (none) none.hidden = shown.length > 0;
  const badge = byId('findings-count');
  setText(badge, warnings === 0 ? 'no warnings' : `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`);
  badge?.classList.toggle('bad', warnings > 0);
}
