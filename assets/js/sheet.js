// The buttons of the head: sheets that open over the page at its right side, light or dark, and texts to copy. A sheet
// closes by its ✕, by Escape, and when something outside of it is pressed or gets the focus, which then stays there.
const TEXTS = __TEXTS__;
const APPEARANCE = 'ksh-appearance', COPIED = 2000, BESIDE = '#ksh-message, [data-sheet]';
let sheet = null, opener = null;

if (window.kshSheet) window.kshSheet.end();  // this part of the page was made anew
const life = new AbortController();
const listen = (target, kind, handler) => target.addEventListener(kind, handler, { signal: life.signal, capture: true });
const text = (name) => (TEXTS[document.documentElement.lang] || TEXTS.en)[name] || '';

function open(button) {
  const next = document.getElementById(button.dataset.sheet), same = next === sheet;
  close();
  if (!next || same) return;
  [sheet, opener] = [next, button];
  sheet.classList.add('ksh-open');
  sheet.setAttribute('role', 'dialog');
  sheet.setAttribute('aria-label', text(button.dataset.sheet));
  button.setAttribute('aria-expanded', 'true');
  const field = sheet.querySelector('input:not([role=combobox]):not([type=file]), textarea') || sheet.querySelector('[data-sheet-close]');
  field.focus();
}

function close() {
  if (!sheet) return;
  const [closing, button, inside] = [sheet, opener, sheet.contains(document.activeElement)];
  [sheet, opener] = [null, null];
  closing.classList.remove('ksh-open');
  button.removeAttribute('aria-expanded');
  if (inside && button.isConnected) button.focus();
}

const outside = (target) => sheet && target.isConnected && !sheet.contains(target) && !(target.closest && target.closest(BESIDE));

listen(document, 'click', (event) => {
  const button = event.target.closest && event.target.closest('[data-sheet], [data-sheet-close], [data-appearance], [data-copy]');
  if (!button) return;
  if ('sheet' in button.dataset) open(button);
  else if ('sheetClose' in button.dataset) close();
  else if ('copy' in button.dataset) copy(button);
  else appear(document.body.classList.contains('dark') ? 'light' : 'dark');
});
listen(document, 'pointerdown', (event) => { if (outside(event.target)) close(); });
listen(document, 'focusin', (event) => { if (outside(event.target)) close(); });
listen(document, 'keydown', (event) => {
  if (event.key !== 'Escape' || event.isComposing || !sheet || event.target.getAttribute('aria-expanded') === 'true') return;
  close();
});

function appear(kind) {
  document.body.classList.toggle('dark', kind === 'dark');
  try { localStorage.setItem(APPEARANCE, kind); } catch { /* a browser that keeps nothing */ }
}

async function copy(button) {
  try { await navigator.clipboard.writeText(button.dataset.copy); } catch { return getSelection().selectAllChildren(button.previousElementSibling); }
  const name = button.textContent;
  button.textContent = text('copied');
  setTimeout(() => { button.textContent = name; }, COPIED);
}

function label() {
  for (const button of document.querySelectorAll('[data-sheet], [data-sheet-close], [data-appearance]')) {
    const name = text(button.dataset.sheet || ('sheetClose' in button.dataset ? 'close' : 'appearance'));
    button.title = name;
    button.setAttribute('aria-label', name);
  }
}

window.kshSheet = { close, end: () => life.abort() };
listen(window, 'ksh-language', label);
try { const kind = localStorage.getItem(APPEARANCE); if (kind) appear(kind); } catch { /* nothing kept */ }
label();
