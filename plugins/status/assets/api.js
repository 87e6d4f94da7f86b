// Talks to the API that commands and scripts use too.

import { byId, setText } from './dom.js';

// With the origin, as a page whose own address has a password in it may not fetch from
// an address that is relative to that.
const base = location.origin + (document.body.dataset.api || '/api/v1');
const patience = 10000; // milliseconds

/** APIError is an answer that says what is wrong. */
export class APIError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(method, path, body) {
  const options = {
    method,
    headers: { Accept: 'application/json' },
    credentials: 'same-origin',
    signal: AbortSignal.timeout(patience),
  };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  const response = await fetch(base + path, options);
  const text = await response.text();
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new APIError(response.status, `The answer to ${method} ${path} is no JSON.`);
  }
  if (!response.ok) {
    throw new APIError(response.status, answer?.error || `${method} ${path}: HTTP status ${response.status}.`);
  }
  return answer;
}

/** address is the URL of a path of the API, for an EventSource. */
export const address = (path) => base + path;

/**
 * get reads a path. Where there is no such route, because the server was not told
 * to have it, it returns null.
 */
export async function get(path) {
  try {
    return await request('GET', path);
  } catch (err) {
    if (err instanceof APIError && err.status === 404) return null;
    throw err;
  }
}

/** send changes something. What is wrong with it is thrown as an APIError. */
export const send = (method, path, body) => request(method, path, body);

/** complain shows in the banner why the page may be old; null takes the banner away. */
export function complain(err) {
  const banner = byId('banner');
  if (!banner) return;
  if (err) setText(banner, `${err instanceof APIError ? err.message : 'The server cannot be reached.'} What you see may be old; trying again.`);
  banner.hidden = !err;
  document.documentElement.classList.toggle('stale', Boolean(err));
}
