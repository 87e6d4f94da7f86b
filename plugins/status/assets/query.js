// All facts of one query, and what decides how it is answered now.

import { get } from './api.js';
import { byId, el, setText } from './dom.js';
import { count, micros, pathWords, undot } from './format.js';

/** dialog returns a function that shows an entry of the journal in a dialog. */
export function dialog(box) {
  if (!box) return () => {};
  box.addEventListener('click', (event) => {
    if (event.target === box) box.close(); // beside it
  });
  let turn = 0;
  return async (entry) => {
    const mine = ++turn;
    const answer = byId('query-explain');
    byId('query-title').replaceChildren(undot(entry.name) || '(no question)', ' ', el('span', { class: 'muted' }, entry.type));
    byId('query-facts').replaceChildren(...facts(entry).flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
    answer.replaceChildren(el('p', { class: 'muted' }, 'asking …'));
    if (!box.open) box.showModal();
    const explained = await explain(entry);
    if (mine === turn) answer.replaceChildren(...explained);
  };
}

/** facts are all that the journal knows of a query, in words. */
function facts(e) {
  const edns = e.edns
    ? [`version ${e.edns.version}`, `${e.edns.size} octets`, e.edns.do ? 'DO' : 'no DO', ...e.edns.options].join(', ')
    : 'none';
  const reply = e.rcode
    ? [e.rcode, e.aa ? 'AA' : 'no AA', e.tc ? 'TC' : null, `records in the answer: ${count(e.answers)}`, `${count(e.size)} octets`].filter(Boolean).join(', ')
    : 'none: dropped';
  return [
    ['Time', e.time],
    ['From', `${e.source}${e.resolver ? ` (${e.resolver})` : ''}`],
    ['To', [e.ns, e.transport.toUpperCase()].filter(Boolean).join(', ')],
    ['Path', pathWords[e.path] ? `${pathWords[e.path]} (${e.path})` : 'not observed'],
    ['Asked', e.asked || e.name],
    ['Class', e.class || 'IN'],
    ['Opcode', e.opcode || 'QUERY'],
    ['Flags', e.flags.join(' ').toUpperCase() || 'none'],
    ['EDNS', edns],
    ['Zone', e.zone || 'none'],
    ['Reply', reply],
    ['Took', micros(e.took_us)],
    ['Fault', e.fault ? `${e.fault.rule}: ${e.fault.kind}` : 'none'],
    ['Number', count(e.id) + (e.one_in ? `, stands for ${count(e.one_in)}` : '')],
  ];
}

/** explain asks the server what decides. */
async function explain(e) {
  if (!e.name || !e.type) return [el('p', {}, 'There was no question to explain.')];
  const from = e.source.replace(/^\[?([^\]]*?)\]?:\d+$/, '$1');
  try {
    const answer = await get(`/explain?${new URLSearchParams({ name: e.name, type: e.type, from })}`);
    if (!answer) return [el('p', {}, 'This server does not explain.')];
    return [
      el('p', { class: 'verdict' }, el('strong', {}, answer.verdict), ' ', answer.text),
      el('ol', {}, ...answer.steps.map(step)),
    ];
  } catch (err) {
    const said = el('p', { class: 'error' });
    setText(said, err.message);
    return [said];
  }
}

function step(s) {
  const known = Object.entries(s.facts || {});
  return el('li', { class: s.decides ? 'decides' : null },
    el('strong', {}, s.plugin), ' ', s.text,
    known.length ? el('span', { class: 'known' }, known.map(([name, value]) => `${name}: ${value}`).join(' · ')) : null);
}
