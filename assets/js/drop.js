// The zone that takes drawings, and drops anywhere on the page. Folders are walked with their folders' names kept, and
// everything is sent in portions; the studio then imports it as a job, which the page no longer needs.
const TEXTS = __TEXTS__, WHOLE = new Set(__WHOLE__);
const PORTION_FILES = 100, PORTION_BYTES = 16e6, BEGINNING = 4096, TRIES = 4, SHOWN_NAMES = 5;
const [prompt, state] = [element.querySelector('.ksh-drop-text'), element.querySelector('.ksh-drop-state')];
const [pickFiles, pickFolder] = element.querySelectorAll('button');
const [filesInput, folderInput] = element.querySelectorAll('input');
const overlay = document.createElement('div');
let sending = null;

if (window.kshDrop) window.kshDrop.abort(); // this part of the page was made anew
const life = (window.kshDrop = new AbortController());
const listen = (target, kind, handler) => target.addEventListener(kind, handler, { signal: life.signal });

const fill = (text, values = {}) => Object.entries(values).reduce((filled, [key, value]) => filled.replace(`{${key}}`, value), text);
const say = (name, values) => fill((TEXTS[document.documentElement.lang] || TEXTS.en)[name], values);

// A sentence of the page's one place for messages, in every language.
const texts = (name, values) => Object.fromEntries(Object.keys(TEXTS).map((language) => [language, fill(TEXTS[language][name], values)]));
const tell = (message) => window.dispatchEvent(new CustomEvent('ksh-message', { detail: { texts: message } }));
const unreachable = () => ({ ok: false, texts: texts('failed') });

function label() {
  prompt.textContent = say('text');
  pickFiles.textContent = say('files');
  pickFolder.textContent = say('folder');
  overlay.textContent = say('here');
}

function show(message, cancel) {
  state.textContent = message;
  if (!cancel) return;
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'ksh-small';
  button.textContent = say('cancel');
  button.onclick = cancel;
  state.append(' ', button);
}

// A file as [File, its path]. Entries must be asked for while the drop event runs; the rest may take its time.
async function walk(entry, path, files, unread) {
  try {
    if (entry.isFile) files.push([await new Promise((done, failed) => entry.file(done, failed)), path + entry.name]);
    if (!entry.isDirectory) return;
    const reader = entry.createReader();
    for (;;) {
      const entries = await new Promise((done, failed) => reader.readEntries(done, failed)); // a hundred at a time
      if (!entries.length) return;
      for (const inner of entries) await walk(inner, `${path}${entry.name}/`, files, unread);
      show(say('reading', { done: files.length.toLocaleString() }));
    }
  } catch { unread.push(path + entry.name); }
}

// One folder that was dropped or picked counts as the place where all is: its own name is no part of the paths.
function withoutOuterFolder(files) {
  const outer = files.length ? files[0][1].split('/')[0] + '/' : '';
  return files.every(([, path]) => path.startsWith(outer)) ? files.map(([file, path]) => [file, path.slice(outer.length)]) : files;
}

const isPicture = (bytes) => ['89504e47', 'ffd8ff', '47494638', '52494646'].some((begin) =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('').startsWith(begin));

// Of a file that the studio cannot read only the beginning is sent: by it and its name the studio says what to do.
async function toSend(file, path) {
  const dot = path.lastIndexOf('.');
  if (file.size <= BEGINNING || WHOLE.has(path.slice(dot).toLowerCase())) return file;
  return isPicture(new Uint8Array(await file.slice(0, 8).arrayBuffer())) ? file : file.slice(0, BEGINNING);
}

async function post(address, portion, stop) {
  const form = new FormData();
  portion.forEach(([file], index) => form.append('files', file, String(index)));
  form.append('names', JSON.stringify(portion.map(([, path]) => path)));
  for (let tries = 1; ; tries++) {
    try {
      const reply = await fetch(address, { method: 'POST', body: form, signal: stop });
      if ((reply.headers.get('content-type') || '').includes('json')) return await reply.json();
      if (reply.status < 500) return { ok: false, texts: { en: await reply.text() } }; // the shield's, before any page
    } catch (error) { if (stop.aborted) throw error; }
    if (tries === TRIES) return unreachable();
    await new Promise((done) => setTimeout(done, 1000 * tries));
  }
}

// Gives the sentence to say where something was refused, else null.
async function send(files, unread, slug) {
  const upload = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  let portion = [], bytes = 0, sent = 0, number = 0;
  for (let index = 0; index <= files.length; index++) {
    const full = portion.length === PORTION_FILES || bytes > PORTION_BYTES;
    if (portion.length && (full || index === files.length)) {
      show(say('sending', { done: sent.toLocaleString(), total: files.length.toLocaleString() }), () => sending.abort());
      const reply = await post(`/ksh/${slug}/upload/${upload}/${number++}`, portion, sending.signal);
      if (!reply.ok) return reply.texts;
      sent += portion.length;
      [portion, bytes] = [[], 0];
    }
    if (index === files.length) break;
    const [file, path] = files[index];
    try {
      const content = await toSend(file, path);
      portion.push([content, path]);
      bytes += content.size;
    } catch { unread.push(path); }
  }
  if (!sent) return texts('nothing');
  show(say('starting'));
  const reply = await server.ksh_import([slug, upload]);
  if (!reply || !reply.ok) return (reply || unreachable()).texts;
  if (!unread.length) return null;
  return texts('unreadable', { done: unread.length, names: unread.slice(0, SHOWN_NAMES).join(', ') });
}

// collect: gives the files as [File, path] pairs, and the paths of those that could not be read.
async function take(collect) {
  const slug = (window.kshGrid || {}).slug;
  if (!slug) return tell(texts('no_project'));
  if (sending) return tell(texts('busy'));
  sending = new AbortController();
  try {
    const unread = [], files = withoutOuterFolder(await collect(unread));
    const refusal = await send(files, unread, slug);
    if (refusal) tell(refusal);
  } catch { if (!sending.signal.aborted) tell(texts('failed')); }
  sending = null;
  show('');
}

function picked(input) {
  const files = [...input.files].map((file) => [file, file.webkitRelativePath || file.name]);
  input.value = '';
  if (files.length) take(async () => files);
}

// Fields of their own for files, such as the one for a recipe, take their drops themselves.
const elsewhere = (event) => {
  const field = event.target.closest && event.target.closest('button, .block');
  return (field && field.querySelector('input[type=file]') && !element.contains(field)) || !element.isConnected;
};
const holdsFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes('Files');
const offered = () => !document.querySelector('#tab-generate') || !document.querySelector('#tab-generate').checkVisibility();

listen(window, 'dragover', (event) => {
  if (!holdsFiles(event) || elsewhere(event)) return overlay.remove();
  event.preventDefault(); // without this the browser would open the file in place of the page
  if (offered()) document.body.append(overlay);
});
listen(window, 'dragleave', (event) => { if (!event.relatedTarget) overlay.remove(); });
listen(window, 'drop', (event) => {
  overlay.remove();
  if (!holdsFiles(event) || elsewhere(event)) return;
  event.preventDefault();
  if (!offered()) return;
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  const plain = [...event.dataTransfer.files].map((file) => [file, file.name]);
  take(async (unread) => {
    const files = [];
    for (const entry of entries) await walk(entry, '', files, unread);
    return entries.length ? files : plain;
  });
});
listen(window, 'beforeunload', (event) => { if (sending) event.preventDefault(); });
listen(window, 'ksh-language', label);
listen(pickFiles, 'click', () => filesInput.click());
listen(pickFolder, 'click', () => folderInput.click());
listen(filesInput, 'change', () => picked(filesInput));
listen(folderInput, 'change', () => picked(folderInput));
overlay.className = 'ksh-drop-overlay';
label();
