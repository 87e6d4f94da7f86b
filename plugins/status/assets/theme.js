// Light or dark: as the system has it, until somebody chooses. This is no module, so
// that it runs before the page is drawn.
(() => {
  const key = 'stampdns-theme';
  const root = document.documentElement;
  const media = matchMedia('(prefers-color-scheme: dark)');
  root.classList.add('script');

  function stored() {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is off
    }
  }
  function store(theme) {
    try {
      if (theme) localStorage.setItem(key, theme);
      else localStorage.removeItem(key);
    } catch {
      // The choice lasts as long as the page.
    }
  }

  function apply(theme) {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    const button = document.getElementById('theme');
    if (!button) return;
    const dark = theme ? theme === 'dark' : media.matches;
    button.textContent = dark ? '☀ Light' : '☾ Dark';
    button.title = `Use the ${dark ? 'light' : 'dark'} colors`;
  }

  const first = stored();
  if (first === 'light' || first === 'dark') root.dataset.theme = first;

  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    if (!button) return;
    button.hidden = false;
    apply(root.dataset.theme);
    media.addEventListener('change', () => apply(root.dataset.theme));
    button.addEventListener('click', () => {
      const dark = root.dataset.theme ? root.dataset.theme === 'dark' : media.matches;
      const next = dark ? 'light' : 'dark';
      // The system's own choice is not worth storing: it may change by the hour.
      const own = (next === 'dark') === media.matches ? '' : next;
      store(own);
      apply(own);
    });
  });
})();
