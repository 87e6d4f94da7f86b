// The status page, live. The server has written all of it as HTML; this polls the
// API while the page is looked at, and brings each part up to date.

import { get } from './api.js';
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

async function poll() {
  clearTimeout(timer);
  if (polling) return;
  polling = true;
  const history = round++ % seldom === 0;
  const paths = ['/status', '/delegation', '/forwarders', '/custom-dns', '/faults'];
  if (history) paths.push('/history?minutes=60');
  const answers = await Promise.allSettled(paths.map(get));
  const [status, delegation, forwarders, custom, faults, past] = answers.map((a) => (a.status === 'fulfilled' ? a.value : null));
  polling = false;
  const at = performance.now();
  for (const part of all) part.update?.({ at, status, delegation, forwarders, custom, faults, history: past });
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
