// The page's one place for messages. Whoever has something to say sends `ksh-message` to the window, with
// { texts: { en, ko }, kind, topic, seconds, unasked }; `ksh-message-over` takes a message away, of its topic or of any.
// One message at a time. It goes by its button, by Escape, when a later press is done, when what it speaks of (`ksh-state`)
// has changed, or after its seconds. Texts enter the page by `.textContent` only; the focus stays where it is.
if (document.getElementById('ksh-message')) return;
const TEXTS = __TEXTS__;
const box = document.createElement('section'), line = document.createElement('p'), close = document.createElement('button');
let message = null, state, timer, before = null;

box.id = 'ksh-message';
box.hidden = true;
line.setAttribute('role', 'alert');
close.type = 'button';
close.textContent = '✕';
close.onclick = () => { hide(); if (before && before.isConnected) before.focus(); };
box.append(line, close);
document.body.append(box);

const inLanguage = (texts) => texts[document.documentElement.lang] || texts.en || '';

function write() {
  if (!message) return;
  line.textContent = inLanguage(message.texts);
  close.setAttribute('aria-label', (TEXTS[document.documentElement.lang] || TEXTS.en).close);
}

function show(next) {
  if (next.unasked && message && !message.unasked) return;  // it never takes the place of the answer to a press
  clearTimeout(timer);
  if (!box.contains(document.activeElement)) before = document.activeElement;
  message = { kind: 'bad', topic: '', ...next, state };
  box.className = `ksh-${message.kind}`;
  box.hidden = true;
  line.textContent = '';
  // Written a moment later, so that a screen reader and the eye notice the same sentence when it comes again.
  timer = setTimeout(() => {
    box.hidden = false;
    write();
    uncover();
    if (message.seconds) timer = setTimeout(hide, 1000 * message.seconds);
  }, 30);
}

function hide() {
  clearTimeout(timer);
  message = null;
  box.hidden = true;
  line.textContent = '';
}

// What was pressed is never left under the message.
function uncover() {
  const pressed = document.activeElement;
  if (!pressed || pressed === document.body || box.contains(pressed)) return;
  const under = pressed.getBoundingClientRect(), over = box.getBoundingClientRect();
  if (under.left < over.right && under.right > over.left && under.bottom > over.top && under.top < over.bottom)
    window.scrollBy(0, under.bottom - over.top + 16);
}

window.addEventListener('ksh-message', (event) => show(event.detail));
window.addEventListener('ksh-message-over', (event) => {
  const topic = event.detail;
  if (message && (topic ? message.topic === topic : message.topic !== 'connection')) hide();
});
window.addEventListener('ksh-state', (event) => {
  if (!event.detail) return;
  state = event.detail;
  if (!message || message.topic === 'connection') return;
  if (message.state === undefined) message.state = state;
  else if (message.state !== state) hide();
});
window.addEventListener('ksh-language', write);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && message && !event.isComposing && !document.querySelector('dialog[open]')) hide();
});
watch('value', () => {
  if (!props.value) return;
  const { texts } = JSON.parse(props.value);
  show({ texts, kind: 'good', seconds: 12 });
});
