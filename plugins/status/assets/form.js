// Forms that send JSON to the API, and say beside themselves what came of it.

import { byId, setText } from './dom.js';

/**
 * form lets a form work: action gets its values and the form. What action returns or
 * throws is shown in the form.
 */
export function form(id, action) {
  const node = byId(id);
  if (!node) return null;
  for (const fieldset of node.querySelectorAll('fieldset')) fieldset.disabled = false;
  node.addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(node, () => action(new FormData(node), node));
  });
  return node;
}

/** attempt does something on behalf of a form, once at a time. */
export async function attempt(node, action) {
  if (!node || node.getAttribute('aria-busy') === 'true') return;
  node.setAttribute('aria-busy', 'true');
  try {
    say(node, await action(), 'done');
  } catch (err) {
    say(node, err.message, 'wrong');
  }
  node.removeAttribute('aria-busy');
}

function say(node, text, kind) {
  const place = node.querySelector('.result');
  if (!place) return;
  setText(place, text || '');
  place.dataset.kind = text ? kind : '';
}
