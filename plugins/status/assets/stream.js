// Queries streaming by. The server sends at most so many a second and says how many
// it left out; they are drawn a few times a second, in rows that are used again.

import { address, APIError, get } from './api.js';
import { byId, el, setText } from './dom.js';
import { clock, count, micros, pathWords, undot } from './format.js';

const rowsKept = 200;
const perSecond = 100; // asked of the server
const soonest = 150; // milliseconds between two times of drawing
const latest = 1500;
const late = 50; // milliseconds between two frames that somebody notices
const filters = { resolver: 'f-resolver', name: 'f-name', type: 'f-type', path: 'f-path', rcode: 'f-rcode' };

/** stream follows the journal; show opens the facts of one entry. */
export function stream(show) {
  const table = byId('journal');
  if (!table) return {};
  const body = table.tBodies[0] || table.createTBody();
  const state = byId('journal-state');
  const pause = byId('pause');
  const s = { source: null, waiting: [], skipped: 0, paused: false, frame: 0, drawn: 0, every: soonest, turn: 0, retry: 0, hidden: document.hidden };

  /** open shows what the journal has of late, and follows it from there. */
  async function open() {
    close();
    if (s.paused || s.hidden) return;
    const turn = ++s.turn;
    const wanted = query();
    tell('connecting …', 'wait');
    let past;
    try {
      past = await get(`/journal?${wanted}&limit=${rowsKept / 4}`);
    } catch (err) {
      if (turn !== s.turn) return;
      tell(err.message, 'lost');
      if (!(err instanceof APIError && err.status === 400)) s.retry = setTimeout(open, 3000);
      return;
    }
    if (turn !== s.turn) return;
    if (!past) {
      tell('This server keeps no journal.', 'lost');
      return;
    }
    replace(past.entries);
    wanted.set('max', String(perSecond));
    wanted.set('after', past.cursor);
    follow(new EventSource(address(`/journal/stream?${wanted}`)));
  }

  function follow(source) {
    s.source = source;
    source.onopen = () => tell('live', 'live');
    source.onmessage = (event) => take(event.data);
    source.addEventListener('skipped', (event) => {
      s.skipped += JSON.parse(event.data).count;
      later();
    });
    source.onerror = () => {
      if (s.source !== source) return;
      // A browser gives up after an answer that is an error.
      const refused = source.readyState === EventSource.CLOSED;
      tell(refused ? 'no stream: too many may be open, trying again …' : 'connection lost, trying again …', 'lost');
      if (refused) s.retry = setTimeout(open, 3000);
    };
  }

  function close() {
    clearTimeout(s.retry);
    s.turn++;
    s.source?.close();
    s.source = null;
  }

  function query() {
    const wanted = new URLSearchParams();
    for (const [parameter, id] of Object.entries(filters)) {
      const value = byId(id)?.value.trim();
      if (value) wanted.set(parameter, parameter === 'name' && !value.includes('*') ? `*${value}*` : value);
    }
    return wanted;
  }

  function take(data) {
    s.waiting.push(JSON.parse(data));
    if (s.waiting.length > rowsKept) s.skipped += s.waiting.splice(0, s.waiting.length - rowsKept).length;
    later();
  }

  function later() {
    if (!s.frame) s.frame = requestAnimationFrame(draw);
  }

  function draw(now) {
    s.frame = 0;
    if (now - s.drawn < s.every) {
      later();
      return;
    }
    s.drawn = now;
    setText(byId('journal-skipped'), s.skipped ? `${count(s.skipped)} not shown` : '');
    if (s.waiting.length === 0) return;
    prepend(s.waiting.reverse());
    s.waiting = [];
    requestAnimationFrame((next) => adapt(next - now));
  }

  /** adapt draws less often where drawing makes the browser late. */
  function adapt(took) {
    s.every = took > late ? Math.min(s.every * 1.5, latest) : Math.max(s.every * 0.9, soonest);
  }

  /** prepend shows entries, the newest first, above those that are there. */
  function prepend(entries) {
    const fresh = document.createDocumentFragment();
    for (const entry of entries) {
      const full = body.rows.length + fresh.childElementCount >= rowsKept;
      const row = full && body.rows.length > 0 ? body.rows[body.rows.length - 1] : newRow();
      fillRow(row, entry);
      fresh.append(row);
    }
    body.prepend(fresh);
  }

  function replace(entries) {
    s.waiting = [];
    s.skipped = 0;
    setText(byId('journal-skipped'), '');
    body.replaceChildren();
    prepend(entries.reverse());
  }

  function tell(text, kind) {
    setText(state, text);
    if (state) state.dataset.state = kind;
  }

  function setPaused(paused) {
    s.paused = paused;
    pause?.setAttribute('aria-pressed', String(paused));
    setText(pause, paused ? 'Resume' : 'Pause');
    if (paused) {
      close();
      tell('paused', 'paused');
    } else open();
  }

  if (pause) {
    pause.hidden = false;
    pause.addEventListener('click', () => setPaused(!s.paused));
  }
  let settle = 0;
  for (const id of Object.values(filters)) {
    const input = byId(id);
    if (!input) continue;
    input.disabled = false;
    input.addEventListener('input', () => {
      clearTimeout(settle);
      settle = setTimeout(() => (s.paused ? setPaused(false) : open()), 250);
    });
  }
  byId('journal-form')?.addEventListener('submit', (event) => event.preventDefault());
  body.addEventListener('click', (event) => {
    const entry = event.target.closest('tr')?.entry; // rows that the server wrote have none
    if (entry) show(entry);
  });
  open();

  return {
    visible(yes) {
      s.hidden = !yes;
      if (yes) open();
      else close();
    },
  };
}

function newRow() {
  return el('tr', {}, el('td'), el('td'), el('td'), el('td', { class: 'name' }, el('button', { type: 'button', class: 'link' })),
    el('td'), el('td', {}, el('span', { class: 'path' })), el('td', {}, el('span', { class: 'rcode' })), el('td', { class: 'number' }));
}

function fillRow(row, e) {
  row.entry = e;
  row.className = e.fault ? 'broken' : '';
  const [time, resolver, ns, name, type, path, rcode, took] = row.cells;
  setText(time, clock(e.time, true));
  setText(resolver, e.resolver);
  setText(ns, e.ns);
  setText(name.firstChild, undot(e.name) || '(no question)');
  name.firstChild.title = e.asked || e.name;
  setText(type, e.type);
  setText(path.firstChild, pathWords[e.path] || '');
  path.firstChild.className = `path path-${e.path}`;
  setText(rcode.firstChild, e.rcode || 'dropped');
  rcode.firstChild.className = `rcode rcode-${(e.rcode || 'dropped').toLowerCase()}`;
  rcode.firstChild.title = e.fault ? `fault ${e.fault.rule}: ${e.fault.kind}` : '';
  setText(took, micros(e.took_us));
}

