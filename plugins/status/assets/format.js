// Writes numbers and times for people.

const locale = 'en-US';
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });

/** count is a whole number with its thousands apart. */
export const count = (n) => whole.format(n);

/** rate is queries per second, short. */
export function rate(n) {
  if (!(n > 0)) return '0';
  if (n < 0.05) return '<0.1';
  if (n < 10) return n.toFixed(1);
  return n < 10000 ? whole.format(n) : `${(n / 1000).toFixed(1)}k`;
}

/** duration is seconds in at most two units. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** ago is how long before now, both as RFC 3339 or milliseconds, a time was. */
export function ago(time, now) {
  if (!time) return 'never';
  const seconds = (new Date(now) - new Date(time)) / 1000;
  if (seconds < 1.5) return 'now';
  return `${seconds < 60 ? `${Math.round(seconds)} s` : duration(seconds).replace(/ \d+ s$/, '')} ago`;
}

/** micros is a time in microseconds in the unit that suits it. */
export function micros(us) {
  if (us === null || us === undefined) return '–';
  if (us < 10) return `${us.toFixed(1)} µs`;
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toFixed(us < 10000 ? 1 : 0)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

/** clock is the time of day in UTC, as all times of the page. */
export function clock(time, fraction = false) {
  const at = new Date(time);
  const two = (n) => String(n).padStart(2, '0');
  const text = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
  return fraction ? `${text}.${String(at.getUTCMilliseconds()).padStart(3, '0')}` : text;
}

/** undot takes the last dot off a name, which only the root needs. */
export const undot = (name) => (name.length > 1 ? name.replace(/\.$/, '') : name);

/** pathWords are what people call the ways a query comes by. */
export const pathWords = { iterative: 'delegation', forwarded: 'forwarding', direct: 'direct' };
