// The grid of drawings: only the cards in view exist, however many drawings there are. Texts of visitors enter the page
// by `.value` and `.textContent` only. The page tells it what to show by `window.kshGrid` and the event `ksh-grid`.
const TEXTS = __TEXTS__;
const PAGE = 60, ROW = 268, SAVE_AFTER = 800;
const view = element.querySelector('.ksh-view'), space = view.firstElementChild, empty = element.querySelector('.ksh-none');
let asked = new Set(), rows = new Map(), cards = new Map(), total = 0, columns = 1, life = 0;

const text = (name) => (TEXTS[document.documentElement.lang] || TEXTS.en)[name] || TEXTS.en[name] || name;
const wanted = () => window.kshGrid || { slug: '', query: '', show: 'all' };

function make(tag, classes, content) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (content !== undefined) made.textContent = content;
  return made;
}

function measure() {
  columns = Math.max(1, Math.floor(view.clientWidth / 200));
  space.style.height = Math.ceil(total / columns) * ROW + 'px';
  view.style.height = Math.min(3, Math.max(1, Math.ceil(total / columns))) * ROW + 'px';
  const shown = total > 0;
  view.style.display = shown ? '' : 'none';
  empty.style.display = shown ? 'none' : '';
  empty.textContent = text(wanted().query || wanted().show !== 'all' ? 'nothing_found' : 'empty');
}

async function load(index) {
  const start = index - index % PAGE, mine = life, ask = wanted();
  if (asked.has(start) || !ask.slug) return;
  asked.add(start);
  const page = await server.ksh_rows([ask.slug, ask.query, ask.show, start, PAGE]);
  if (mine !== life) return;
  if (!page || !page.ok) { asked.delete(start); return; }
  const grew = total !== page.total;
  total = page.total;
  page.rows.forEach((row, k) => { if (!unsaved(start + k, row)) { rows.set(start + k, row); refresh(start + k, row); } });
  if (grew || start === 0) measure();
  draw();
}

// What is being typed keeps the revision it began from, so that a change made elsewhere meanwhile shows as a conflict.
function unsaved(index, row) {
  const old = rows.get(index), shown = cards.get(index);
  return old && shown && old.id === row.id && shown.querySelector('textarea').value !== old.caption;
}

function place(card, index) {
  const width = view.clientWidth / columns;
  card.style.width = width - 12 + 'px';
  card.style.transform = `translate(${(index % columns) * width}px, ${Math.floor(index / columns) * ROW}px)`;
}

function draw() {
  const from = Math.max(0, Math.floor(view.scrollTop / ROW) - 1) * columns;
  const to = Math.min(total, from + (Math.ceil(view.clientHeight / ROW) + 2) * columns);
  for (const [index, card] of cards)
    if ((index < from || index >= to) && !card.contains(document.activeElement)) { card.remove(); cards.delete(index); }
  for (let index = from; index < to; index++)
    if (!rows.has(index)) load(index);
    else if (!cards.has(index)) { cards.set(index, card(index, rows.get(index))); space.append(cards.get(index)); }
}

function card(index, row) {
  const made = make('div', 'ksh-card'), ask = wanted();
  made.dataset.drawing = row.id;
  const picture = make('a'), image = make('img');
  picture.href = `/ksh/${ask.slug}/drawing/${row.id}.webp`;
  picture.target = '_blank';
  picture.rel = 'noopener';
  image.src = `/ksh/${ask.slug}/thumb/${row.id}.webp`;
  image.alt = row.name;
  image.loading = 'lazy';
  picture.append(image);
  const box = make('textarea');
  box.value = row.caption;
  box.rows = 3;
  box.maxLength = 4000;
  box.readOnly = !row.editable;
  box.setAttribute('aria-label', `${text('caption_of')} ${row.name}`);
  box.placeholder = text('no_caption');
  const foot = make('div', 'ksh-foot'), state = make('span', 'ksh-state', stateOf(row));
  foot.append(make('span', 'ksh-name', row.name), state);
  foot.firstChild.title = row.name;
  made.append(picture, box, foot);
  let timer;
  const later = () => { clearTimeout(timer); state.textContent = text('unsaved'); timer = setTimeout(() => save(made, index), SAVE_AFTER); };
  box.addEventListener('input', later);
  box.addEventListener('blur', () => { clearTimeout(timer); save(made, index); });
  box.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    const next = cards.get(index + 1);
    if (next) next.querySelector('textarea').focus(); else box.blur();
  });
  place(made, index);
  return made;
}

function stateOf(row) {
  return row.caption ? text(row.source === 'person' ? 'by_person' : 'by_captioner') : '';
}

async function save(made, index) {
  const row = rows.get(index), box = made.querySelector('textarea'), state = made.querySelector('.ksh-state');
  if (!row || box.readOnly || box.value.trim() === row.caption.trim() || made.dataset.saving) return;
  const sent = box.value;
  made.dataset.saving = '1';
  state.textContent = text('saving');
  const reply = await server.ksh_save([wanted().slug, row.id, sent, row.revision]);
  delete made.dataset.saving;
  if (!reply || !reply.ok) { state.textContent = (reply && reply.message) || text('not_saved'); made.classList.add('ksh-failed'); return; }
  made.classList.remove('ksh-failed');
  if (reply.conflict) { conflict(made, index, reply, sent); return; }
  Object.assign(row, reply.row);
  if (box.value === sent && document.activeElement !== box) box.value = row.caption;
  state.textContent = text('saved');
  trigger('change');
  if (box.value !== sent) save(made, index);
}

function conflict(made, index, reply, mine) {
  const row = rows.get(index), box = made.querySelector('textarea'), state = made.querySelector('.ksh-state');
  row.revision = reply.row.revision;
  row.caption = reply.row.caption;
  state.textContent = `${text('conflict')} “${reply.row.caption}” `;
  const theirs = make('button', 'ksh-small', text('take_theirs')), keep = make('button', 'ksh-small', text('keep_mine'));
  theirs.onclick = () => { box.value = row.caption; state.textContent = stateOf(row); };
  keep.onclick = () => { box.value = mine; save(made, index); };
  state.append(theirs, keep);
}

function refresh(index, row) {
  const shown = cards.get(index);
  if (!shown) return;
  if (shown.dataset.drawing !== row.id) { shown.remove(); cards.delete(index); return; }
  const box = shown.querySelector('textarea');
  if (document.activeElement === box || shown.dataset.saving) return;
  if (box.value !== row.caption) box.value = row.caption;
  shown.querySelector('.ksh-state').textContent = stateOf(row);
}

function again(whole) {
  life += 1;
  asked = new Set();
  if (whole) { rows = new Map(); cards.forEach((shown) => shown.remove()); cards = new Map(); total = 0; view.scrollTop = 0; measure(); }
  load(Math.floor(view.scrollTop / ROW) * columns);
}

let shown = JSON.stringify(wanted());
window.addEventListener('ksh-grid', () => {
  const now = JSON.stringify(wanted()), whole = now !== shown;
  shown = now;
  again(whole);
});
window.addEventListener('ksh-language', () => { measure(); cards.forEach((made) => made.remove()); cards = new Map(); draw(); });
document.addEventListener('visibilitychange', () => { if (document.hidden) cards.forEach(save); });
view.addEventListener('scroll', () => requestAnimationFrame(draw));
new ResizeObserver(() => { const before = columns; measure(); if (before !== columns || cards.size) cards.forEach(place); draw(); }).observe(element);
measure();
load(0);
