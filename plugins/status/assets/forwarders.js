// Where names go that are not the stamp's: the DNS forwarders and the conditional
// ones, their health, and forms to change them.

import { send } from './api.js';
import { byId, cells, el, reconcile, setText } from './dom.js';
import { attempt, form } from './form.js';
import { count } from './format.js';

/** forwarders keeps both tables up to date, and lets their forms work. */
export function forwarders(refresh) {
  const table = byId('forwarder-table')?.tBodies[0];
  const custom = byId('custom-dns-table')?.tBodies[0];
  let untouched = true; // whether the form shows what is in use

  const list = form('forwarders-form', async (values) => {
    await send('PUT', '/forwarders', { addresses: words(values.get('addresses')) });
    untouched = true;
    refresh();
    return 'The forwarders are set.';
  });
  byId('forwarders-reset')?.addEventListener('click', () => attempt(list, async () => {
    await send('DELETE', '/forwarders');
    untouched = true;
    refresh();
    return 'The forwarders are those of the Corefile again.';
  }));
  list?.addEventListener('input', () => { untouched = false; });

  form('custom-dns-form', async (values, node) => {
    const domain = (values.get('domain') || '').trim().replace(/\.$/, '');
    if (!domain) throw new Error('A conditional forwarder needs a domain.');
    await send('PUT', `/custom-dns/${encodeURIComponent(domain)}`, { addresses: words(values.get('addresses')) });
    node.reset();
    refresh();
    return `Names in ${domain} go to servers of their own.`;
  });

  return {
    update({ forwarders: now, custom: customs }) {
      if (now && table) {
        reconcile(table, now.forwarders, (u) => u.address, newUpstream, fillUpstream);
        const input = list?.elements.addresses;
        if (input && untouched && document.activeElement !== input) input.value = now.forwarders.map(written).join(' ');
        const reset = byId('forwarders-reset');
        if (reset) reset.disabled = now.source !== 'runtime';
        setText(byId('forwarders-source'), origin(now.source, now.lasts));
      }
      if (customs && custom) {
        reconcile(custom, customs.custom_dns, (c) => c.domain, (c) => newCustom(c, refresh), fillCustom);
      }
    },
  };
}

const words = (text) => (text || '').split(/[\s,]+/).filter(Boolean);

/** written is an upstream as the API takes it. */
const written = (u) => (u.transport === 'tls' && !u.address.startsWith('tls://') ? `tls://${u.address}` : u.address);

const origin = (source, lasts) => (source === 'corefile' ? 'of the Corefile' : lasts ? 'set at run time' : 'set at run time, until exit');
const latency = (u) => (u.rtt_ms ? `${u.rtt_ms < 10 ? u.rtt_ms.toFixed(2) : Math.round(u.rtt_ms)} ms` : '–');

function newUpstream() {
  return el('tr', {}, el('th', { scope: 'row' }), el('td'), el('td', {}, el('span')), el('td', { class: 'number' }), el('td', { class: 'number' }), el('td', { class: 'number' }));
}

function fillUpstream(row, u) {
  const [address, transport, state, rtt, failures, queries] = row.cells;
  setText(address, u.address);
  setText(transport, u.transport === 'tls' ? 'TLS' : 'UDP, TCP');
  health(state.firstChild, u);
  setText(rtt, latency(u));
  setText(failures, count(u.failures));
  setText(queries, count(u.queries));
}

function health(node, u) {
  setText(node, u.state);
  node.className = `state state-${u.state}`;
  node.title = `${count(u.queries)} queries, ${count(u.failures)} failures in a row, ${latency(u)}`;
}

function newCustom(c, refresh) {
  const row = el('tr', { 'data-domain': c.domain }, el('th', { scope: 'row', class: 'name' }), el('td', { class: 'upstreams' }), el('td'), el('td', { class: 'act' }));
  if (c.source === 'runtime') {
    const remove = el('button', { type: 'button', class: 'small', 'aria-label': `Remove the forwarder of ${c.domain}` }, 'Remove');
    remove.addEventListener('click', () => attempt(byId('custom-dns-form'), async () => {
      await send('DELETE', `/custom-dns/${encodeURIComponent(c.domain)}`);
      refresh();
      return `The forwarder of ${c.domain} is removed.`;
    }));
    row.lastChild.append(remove);
  }
  return row;
}

function fillCustom(row, c) {
  cells(row, [c.domain]);
  reconcile(row.cells[1], c.forwarders, (u) => u.address,
    () => el('span', { class: 'upstream' }, el('span'), ' ', el('span'), ' ', el('span', { class: 'muted' })),
    (node, u) => {
      setText(node.children[0], u.address);
      health(node.children[1], u);
      setText(node.children[2], u.rtt_ms ? latency(u) : '');
    });
  setText(row.cells[2], c.shadowed_by ? `not used: ${c.shadowed_by} comes first` : origin(c.source, c.lasts));
}
