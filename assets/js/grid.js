// The grid of drawings: only the cards in view exist, however many drawings there are. Texts of visitors enter the page
// by `.value` and `.textContent` only. The page tells it what to show by `window.kshGrid` and the event `ksh-grid`.
const TEXTS = __TEXTS__;
const PAGE = 60, ROW = 268, SAVE_AFTER = 800, LOAD_AGAIN = 5000, UNREACHABLE = 4000, REFUSED = 60000;
const drafts = window.kshDrafts;
const view = element.querySelector('.ksh-view'), space = view.firstElementChild, empty = element.querySelector('.ksh-none');
const aside = element.querySelector('.ksh-offers');
let asked = new Set(), rows = new Map(), cards = new Map(), total = 0, columns = 1, life = 0;
let place = '', slug = '';  // the project, and where the drafts of its captions are: known with its first rows
let saving = new Set(), offers = new Map(), failures = new Map(), typed = new Map(), retrying;
let trouble = '', counted = false;  // why the drawings could not be loaded; whether the studio has said which there are

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
  empty.style.display = shown && !trouble ? 'none' : '';
  empty.className = trouble ? 'ksh-note ksh-bad' : 'ksh-none';
  empty.textContent = trouble || !counted ? trouble : text(wanted().query || wanted().show !== 'all' ? 'nothing_found' : 'empty');
}

async function load(index) {
  const start = index - index % PAGE, mine = life, ask = wanted();
  if (asked.has(start) || !ask.slug) return;
  asked.add(start);
  const page = await drafts.call('caption-grid', 'ksh_rows', [ask.slug, ask.query, ask.show, start, PAGE]);
  if (mine !== life) return;
  const before = trouble;
  trouble = page && page.ok ? '' : (page && page.message) || text('not_reached');
  if (trouble !== before) measure();
  if (trouble) {
    setTimeout(() => { asked.delete(start); if (mine === life) load(start); }, LOAD_AGAIN);
    return;
  }
  const grew = total !== page.total || !counted, arriving = place !== page.place;
  total = page.total;
  counted = true;
  place = page.place;
  slug = ask.slug;
  page.rows.forEach((row, k) => { rows.set(start + k, row); refresh(start + k, row); });
  if (grew || start === 0) measure();
  draw();
  if (arriving) saveAll();
}

function position(card, index) {
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
  showOffers();
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
  box.value = (draftOf(row.id) || row).caption;
  box.rows = 3;
  box.maxLength = 4000;
  box.readOnly = !row.editable;
  box.setAttribute('aria-label', `${text('caption_of')} ${row.name}`);
  box.placeholder = text('no_caption');
  const foot = make('div', 'ksh-foot'), state = make('span', 'ksh-state');
  foot.append(make('span', 'ksh-name', row.name), state);
  foot.firstChild.title = row.name;
  made.append(picture, box, foot);
  let timer;
  const later = (event) => {
    keep(rowOf(row.id) || row, box.value);
    clearTimeout(timer);
    if (!event.isComposing) timer = setTimeout(() => save(row.id), SAVE_AFTER);
  };
  box.addEventListener('input', later);
  box.addEventListener('compositionend', later);
  box.addEventListener('blur', () => { clearTimeout(timer); save(row.id); });
  box.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    const next = cards.get(index + 1);
    if (next) next.querySelector('textarea').focus(); else box.blur();
  });
  position(made, index);
  showState(row.id, made, row);
  return made;
}

function stateOf(row) {
  return row.caption && row.source ? text(`by_${row.source}`) : '';
}

const keyOf = (id) => `${place}/caption/${id}`;
const draftOf = (id) => drafts.get(keyOf(id));
const cardOf = (id) => [...cards.values()].find((made) => made.dataset.drawing === id);
const rowOf = (id) => [...rows.values()].find((row) => row.id === id);

// A draft keeps the revision it began from, so that a change made elsewhere meanwhile shows as a conflict. It also keeps
// the texts that were sent: one of them may have been saved although its answer never came.
function keep(row, caption) {
  const id = row.id, draft = draftOf(id) || { revision: row.revision, sent: [] };
  if (caption === row.caption && !draft.sent.length && !offers.has(id)) drafts.drop(keyOf(id));
  else drafts.put(keyOf(id), { ...draft, caption });
  typed.set(id, [...(typed.get(id) || []), caption.trim()].slice(-200));
  showState(id);
}

async function save(id) {
  const key = keyOf(id), at = place, draft = drafts.get(key);
  if (!draft || saving.has(key) || offers.has(id)) return;
  saving.add(key);
  drafts.put(key, { ...draft, sent: [...draft.sent, draft.caption].slice(-4) });
  showState(id);
  const reply = await drafts.call('caption-grid', 'ksh_save', [slug, id, draft.caption, draft.revision]);
  saving.delete(key);
  const later = drafts.get(key);
  if (reply && reply.ok && later) confirm(key, draft, later, reply);
  if (at !== place) return;
  if (reply && reply.ok) answered(id, reply); else failed(id, reply);
}

function confirm(key, draft, later, reply) {
  const id = key.split('/').pop(), known = [...later.sent, ...(typed.get(id) || [])].map((words) => words.trim());
  if (!reply.conflict) typed.delete(id);
  const mine = !reply.conflict || known.includes(reply.row.caption);  // one's own words are no change made elsewhere
  if (!reply.conflict && later.caption === draft.caption) drafts.drop(key);
  else drafts.put(key, { ...later, revision: mine ? reply.row.revision : later.revision, sent: [] });
}

function answered(id, { conflict, row }) {
  const draft = draftOf(id), shown = cardOf(id), old = rowOf(id);
  failures.delete(id);
  if (conflict && draft && draft.revision !== row.revision) offers.set(id, row);
  if (old) Object.assign(old, row);
  if (shown && !draft && document.activeElement !== shown.querySelector('textarea')) shown.querySelector('textarea').value = row.caption;
  showState(id);
  showOffers();
  if (!conflict) trigger('change');
  if (draft && !offers.has(id)) save(id);
}

function failed(id, reply) {
  failures.set(id, reply ? reply.message : text('not_saved'));
  showState(id);
  clearTimeout(retrying);
  retrying = setTimeout(saveAll, reply ? REFUSED : UNREACHABLE);
}

async function saveAll() {
  clearTimeout(retrying);
  const at = place, start = keyOf('');
  for (const key of place ? drafts.keys(start) : []) {
    const id = key.slice(start.length);
    await save(id);
    if (at !== place || failures.get(id) === text('not_saved')) return;
  }
}

function showState(id, shown = cardOf(id), row = rowOf(id)) {
  if (!shown) return;
  const state = shown.querySelector('.ksh-state'), draft = draftOf(id), offer = offers.get(id);
  shown.classList.toggle('ksh-failed', failures.has(id));
  if (offer) state.replaceChildren(...offerOf(id, offer));
  else if (saving.has(keyOf(id))) state.textContent = text('saving');
  else if (draft) state.textContent = failures.get(id) || text('unsaved');
  else if (state.textContent === text('saving')) state.textContent = text('saved');
  else if (row) state.textContent = stateOf(row);
}

// A caption that was changed elsewhere while one's own was not saved: neither text is lost, and the person decides.
function offerOf(id, row) {
  const button = (name, act) => {
    const made = make('button', 'ksh-small', text(name));
    made.onclick = () => { offers.delete(id); act(); showState(id); showOffers(); };
    return made;
  };
  const theirs = button('take_theirs', () => {
    const shown = cardOf(id);
    drafts.drop(keyOf(id));
    if (shown) shown.querySelector('textarea').value = row.caption;
  });
  const mine = button('keep_mine', () => { drafts.put(keyOf(id), { ...draftOf(id), revision: row.revision }); save(id); });
  return [`${text('conflict')} “${row.caption}” `, theirs, mine];
}

// Offers whose drawings are not in view stand above the grid, with both texts.
function showOffers() {
  const hidden = [...offers].filter(([id]) => draftOf(id) && !cardOf(id));
  aside.replaceChildren(...hidden.map(([id, row]) => {
    const made = make('p', '', `${row.name}: “${draftOf(id).caption}”. `);
    made.append(...offerOf(id, row));
    return made;
  }));
}

function refresh(index, row) {
  const shown = cards.get(index);
  if (!shown) return;
  if (shown.dataset.drawing !== row.id) { shown.remove(); cards.delete(index); return; }
  const box = shown.querySelector('textarea');
  if (document.activeElement === box || draftOf(row.id)) return;
  if (box.value !== row.caption) box.value = row.caption;
  showState(row.id, shown, row);
}

function again(whole) {
  life += 1;
  asked = new Set();
  if (whole) { rows = new Map(); cards.forEach((shown) => shown.remove()); cards = new Map(); total = 0; counted = false; view.scrollTop = 0; measure(); }
  if (slug !== wanted().slug) { place = slug = ''; offers = new Map(); failures = new Map(); showOffers(); }
  load(Math.floor(view.scrollTop / ROW) * columns);
}

let shown = JSON.stringify(wanted());
window.addEventListener('ksh-grid', () => {
  const now = JSON.stringify(wanted()), whole = now !== shown;
  shown = now;
  again(whole);
});
window.addEventListener('ksh-language', () => { measure(); cards.forEach((made) => made.remove()); cards = new Map(); draw(); });
drafts.onLeaving(() => { for (const key of place ? drafts.keys(keyOf('')) : []) save(key.slice(keyOf('').length)); });
drafts.onAnswering(saveAll);
view.addEventListener('scroll', () => requestAnimationFrame(draw));
new ResizeObserver(() => { const before = columns; measure(); if (before !== columns || cards.size) cards.forEach(position); draw(); }).observe(element);
measure();
load(0);
