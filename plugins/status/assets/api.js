// Talks to the API that commands and scripts use too. Where it does not answer, a
// banner says so until it does again.

import { byId, setText } from './dom.js';

const base = document.body.dataset.api || '/api/v1';
const patience = 10000; // milliseconds
let failures = 0;

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
 * to have it, it returns null. What is wrong with the request is the caller's to
 * show; that there is no answer is shown in the banner as well.
 */
export async function get(path) {
  try {
    const answer = await request('GET', path);
    reached();
    return answer;
  } catch (err) {
    const status = err instanceof APIError ? err.status : 0;
    if (status === 404 || status === 400) reached();
    else unreached(err);
    if (status === 404) return null;
    throw err;
  }
}

/** send changes something. What is wrong with it is thrown as an APIError. */
export const send = (method, path, body) => request(method, path, body);

function reached() {
  failures = 0;
  const banner = byId('banner');
  if (banner) banner.hidden = true;
  document.documentElement.classList.remove('stale');
}

function unreached(err) {
  failures++;
  if (failures < 2) return; // one lost request in a while is no news
  const banner = byId('banner');
  if (!banner) return;
  const why = err instanceof APIError ? err.message : 'The server cannot be reached.';
  setText(banner, `${why} What you see may be old; trying again.`);
  banner.hidden = false;
  document.documentElement.classList.add('stale');
}
