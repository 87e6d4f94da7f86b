// The status page, live. The server has written all of it as HTML; this polls the
// API while the page is looked at, and brings each part up to date.

import { complain, get } from './api.js';
import { charts } from './charts.js';
import { byId, el } from './dom.js';
import { endpoints } from './endpoints.js';
import { faults } from './faults.js';
import { forwarders } from './forwarders.js';
import { picture } from './picture.js';
import { dialog } from './query.js';
import { resolvers } from './resolvers.js';
import { summary } from './summary.js';
import { stream } from './stream.js';

const often = 2000; // milliseconds between two polls
const seldom = 5; // polls between two of the history

/** The page's parts; each brings itself up to date with what was polled. */
function parts() {
  const show = dialog(byId('query'));
  const refresh = () => poll();
  return [summary(), picture(), endpoints(), resolvers(), forwarders(refresh), faults(refresh), charts(), stream(show)];
}

let all = [];
let timer = 0;
let round = 0;
let polling = false;

/** What there is to ask for, by the element that shows it: what the page lacks, the server does not offer. */
const sources = [
  ['status', '/status', 'main'], ['delegation', '/delegation', 'finding-list'], ['forwarders', '/forwarders', 'forwarder-table'],
  ['custom', '/custom-dns', 'custom-dns-table'], ['faults', '/faults', 'fault-table'], ['history', '/history?minutes=60', 'history'],
];

async function poll() {
  clearTimeout(timer);
  if (polling) return;
  polling = true;
  const now = round++ % seldom === 0 ? sources : sources.filter(([name]) => name !== 'history');
  const wanted = now.filter(([, , id]) => byId(id));
  const answers = await Promise.allSettled(wanted.map(([, path]) => get(path)));
  polling = false;
  const polled = { at: performance.now() };
  answers.forEach((answer, i) => { polled[wanted[i][0]] = answer.value ?? null; });
  complain(answers.find((answer) => answer.status === 'rejected')?.reason ?? null);
  for (const part of all) part.update?.(polled);
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(poll, often);
}

function start() {
  document.documentElement.classList.add('live');
  document.body.append(el('div', { id: 'announcer', role: 'status', 'aria-live': 'polite' }));
  if (!byId('banner')) byId('top')?.after(el('div', { id: 'banner', role: 'alert', hidden: true }));
  all = parts();
  document.addEventListener('visibilitychange', () => {
    for (const part of all) part.visible?.(!document.hidden);
    if (document.hidden) clearTimeout(timer);
    else {
      round = 0;
      poll();
    }
  });
  poll();
}

start();
