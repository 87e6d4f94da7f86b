// The last hour: three charts with axes, and a readout of any moment by pointer or
// by the arrow keys.

import { byId, el, reconcile, setAttributes, setText, svg } from './dom.js';
import { clock, micros, rate } from './format.js';
import { area, line, nice, timeTicks } from './chartlines.js';

const margin = { left: 46, right: 8, top: 8, bottom: 20 };
const height = 150;

/** What each chart shows: which series, in which order, written how. */
const kinds = {
  'chart-paths': {
    title: 'Queries per second by path', stacked: true, write: (v) => `${rate(v)}/s`,
    series: (h) => ['iterative', 'forwarded', 'direct'].map((path) => ({ name: { iterative: 'delegation', forwarded: 'forwarding', direct: 'direct' }[path], class: `path-${path}`, values: h.paths[path] || [] })),
  },
  'chart-rcodes': {
    title: 'Queries per second by response code', stacked: true, write: (v) => `${rate(v)}/s`,
    series: (h) => Object.entries(h.rcodes).filter(([, values]) => values.some((v) => v > 0)).sort(([a], [b]) => codeOrder(a) - codeOrder(b) || a.localeCompare(b))
      .map(([code, values]) => ({ name: code, class: `rcode-${code.toLowerCase()}`, values })),
  },
  'chart-latency': {
    title: 'Time to answer', stacked: false, write: micros,
    series: (h) => ['p99', 'p50'].map((p) => ({ name: p, class: `latency-${p}`, values: h.latency_us[p] || [] })),
  },
};

const codes = ['NOERROR', 'NXDOMAIN', 'REFUSED', 'SERVFAIL'];
const codeOrder = (code) => (codes.includes(code) ? codes.indexOf(code) : codes.length);

/** charts redraws the charts at each new history. */
export function charts() {
  const all = Object.entries(kinds).map(([id, kind]) => chart(byId(id), kind)).filter(Boolean);
  return {
    update({ history }) {
      if (history) for (const one of all) one.show(history);
    },
  };
}

function chart(node, kind) {
  if (!node) return null;
  byId(`${node.id}-summary`)?.setAttribute('role', 'status');
  let history = null;
  let cursor = null; // step that is read out
  let plot = null;

  function draw() {
    if (!history) return;
    const width = Math.max(260, Math.round(node.parentElement.clientWidth));
    plot = plan(history, kind, width);
    setAttributes(node, { viewBox: `0 0 ${width} ${height}`, width, height, tabindex: 0, role: 'img', 'aria-labelledby': null, 'aria-label': `${kind.title}, the last hour; the arrow keys read it out` });
    node.replaceChildren(...grid(plot, kind), ...marks(plot, kind), svg('line', { class: 'cursor', y1: margin.top, y2: height - margin.bottom, visibility: 'hidden' }));
    point();
  }

  function point() {
    const mark = node.lastElementChild;
    const step = cursor === null ? plot.steps - 1 : cursor;
    if (cursor === null) mark.setAttribute('visibility', 'hidden');
    else setAttributes(mark, { x1: plot.x(cursor), x2: plot.x(cursor), visibility: 'visible' });
    read(node.id, history, plot, kind, step, cursor === null);
  }

  function move(to) {
    if (!plot) return;
    cursor = to === null ? null : Math.min(Math.max(to, 0), plot.steps - 1);
    point();
  }

  node.addEventListener('pointermove', (event) => {
    if (!plot) return;
    const box = node.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * plot.width;
    move(Math.round(((x - margin.left) / (plot.width - margin.left - margin.right)) * (plot.steps - 1)));
  });
  node.addEventListener('pointerleave', () => move(null));
  node.addEventListener('blur', () => move(null));
  node.addEventListener('focus', () => move(plot ? plot.steps - 1 : null));
  node.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !plot) return;
    event.preventDefault();
    move((cursor ?? plot.steps - 1) + step);
  });
  new ResizeObserver(draw).observe(node.parentElement);

  return {
    show(next) {
      history = observed(next);
      draw();
    },
  };
}

const shortest = 60; // steps of a chart, even if less is known

/** observed is a history without the time before the server was started. */
function observed(history) {
  const all = Object.values(history.paths);
  const steps = Math.max(0, ...all.map((values) => values.length));
  let first = 0;
  while (first < steps && all.every((values) => values[first] === null)) first++;
  const cut = Math.max(0, Math.min(first - 1, steps - shortest));
  const tails = (series) => Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values.slice(cut)]));
  return {
    step_seconds: history.step_seconds,
    from: new Date(new Date(history.from).getTime() + cut * history.step_seconds * 1000).toISOString(),
    paths: tails(history.paths), rcodes: tails(history.rcodes), latency_us: tails(history.latency_us),
  };
}

/** plan finds the scales of a chart. */
function plan(history, kind, width) {
  const series = kind.series(history);
  const steps = Math.max(2, ...Object.values(history.latency_us).map((values) => values.length));
  let most = 0;
  for (let i = 0; i < steps; i++) {
    const values = series.map((s) => s.values[i] || 0);
    most = Math.max(most, kind.stacked ? values.reduce((a, b) => a + b, 0) : Math.max(0, ...values));
  }
  const ticks = nice(most);
  const top = ticks[ticks.length - 1];
  return {
    series, steps, width, ticks,
    x: (i) => margin.left + (i / (steps - 1)) * (width - margin.left - margin.right),
    y: (v) => height - margin.bottom - (v / top) * (height - margin.top - margin.bottom),
    times: timeTicks(history.from, history.step_seconds, steps, minutesApart(steps * history.step_seconds, width)),
  };
}

/** minutesApart is how many minutes are between two times on the axis. */
function minutesApart(seconds, width) {
  const room = Math.max(2, Math.floor(width / 75));
  return [1, 2, 5, 10, 20, 30].find((minutes) => seconds / 60 / minutes <= room) || 60;
}

function grid(plot, kind) {
  const right = plot.width - margin.right;
  return [
    ...plot.ticks.flatMap((v) => [
      svg('line', { class: v === 0 ? 'axis' : 'grid', x1: margin.left, x2: right, y1: plot.y(v), y2: plot.y(v) }),
      svg('text', { class: 'tick', x: margin.left - 6, y: plot.y(v) + 3.5, 'text-anchor': 'end' }, v === 0 ? '0' : kind.write(v)),
    ]),
    ...plot.times.map(({ step, at }) => svg('text', { class: 'tick', x: plot.x(step), y: height - 5, 'text-anchor': 'middle' }, clock(at).slice(0, 5))),
  ];
}

function marks(plot, kind) {
  if (!kind.stacked) {
    return plot.series.map((s) => svg('path', { class: `series ${s.class}`, d: line(s.values, plot), fill: 'none' }));
  }
  let floor = new Array(plot.steps).fill(0);
  const out = [];
  for (const s of plot.series) {
    const ceiling = floor.map((v, i) => v + (s.values[i] || 0));
    out.push(svg('path', { class: `area ${s.class}`, d: area(floor, ceiling, plot) }));
    floor = ceiling;
  }
  return out;
}

/** read writes what stands at a step into the legend, and says it. */
function read(id, history, plot, kind, step, now) {
  const time = new Date(new Date(history.from).getTime() + step * history.step_seconds * 1000);
  const written = (s) => (s.values[step] === null || s.values[step] === undefined ? 'none' : kind.write(s.values[step]));
  const legend = byId(id).closest('figure').querySelector('.legend');
  if (legend) {
    reconcile(legend, plot.series, (s) => s.name,
      (s) => el('li', { class: s.class, 'data-series': s.name }, el('span', {}, s.name), ' ', el('span', { class: 'last' })),
      (item, s) => setText(item.lastChild, written(s)));
  }
  const summary = byId(`${id}-summary`);
  if (!summary) return;
  const words = el('span', { class: 'visually-hidden' }, plot.series.map((s) => `${s.name} ${written(s)}`).join(', '));
  // What changes by itself every few seconds is not worth interrupting anybody.
  summary.setAttribute('aria-live', now ? 'off' : 'polite');
  summary.replaceChildren(now ? 'now' : `at ${clock(time)} UTC`, ' ', words);
}
