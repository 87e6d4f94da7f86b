// The geometry of charts: round numbers for axes, and paths that leave out what is
// not known.

/** nice is a scale from 0 to at least most, in at most five round steps. */
export function nice(most) {
  if (!(most > 0)) return [0, 1];
  const raw = most / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const ticks = [0];
  while (ticks[ticks.length - 1] < most) ticks.push(step * ticks.length);
  return ticks;
}

/** timeTicks are the steps at full minutes, so many minutes apart. */
export function timeTicks(from, seconds, steps, minutes) {
  const start = new Date(from).getTime();
  const every = minutes * 60000;
  const ticks = [];
  const last = start + (steps - 1) * seconds * 1000;
  for (let at = Math.ceil(start / every) * every; at <= last; at += every) {
    const step = (at - start) / (seconds * 1000);
    // The first and the last would be cut at the edge.
    if (step > steps * 0.02 && step < steps * 0.98) ticks.push({ step, at });
  }
  return ticks;
}

const round = (v) => Math.round(v * 10) / 10;

/** line is a path through the values; null breaks it. A value that stands alone is a dot. */
export function line(values, { x, y }) {
  let d = '';
  let open = false;
  values.forEach((v, i) => {
    if (v === null || v === undefined) {
      open = false;
      return;
    }
    d += `${open ? 'L' : 'M'}${round(x(i))} ${round(y(v))}`;
    const alone = !open && (values[i + 1] === null || values[i + 1] === undefined);
    if (alone) d += 'h0.1';
    open = true;
  });
  return d;
}

/** area is the path around what lies between two lines; "" where nothing does. */
export function area(floor, ceiling, { x, y }) {
  if (ceiling.every((v, i) => v === floor[i])) return '';
  const up = ceiling.map((v, i) => `${i ? 'L' : 'M'}${round(x(i))} ${round(y(v))}`);
  const down = floor.map((v, i) => `L${round(x(i))} ${round(y(v))}`).reverse();
  return `${up.join('')}${down.join('')}Z`;
}
