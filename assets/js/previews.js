// Previews: the slider shows the pictures of a step; a click shows one large, with arrows to its neighbours; what was
// chosen, and where a row was scrolled to, is kept when more pictures come.
const scrolled = new Map(), shown = new Map();
let dialog, row = [], place = 0;

// The newest step is shown, and the next one when it comes, until another is chosen.
function show_step(board) {
  const slider = board.querySelector('input[type=range]');
  if (!slider) return;
  const step = slider.value, name = JSON.parse(slider.dataset.names)[step];
  for (const cell of board.querySelectorAll('[data-step]')) cell.hidden = cell.dataset.step !== step;
  slider.setAttribute('aria-valuetext', name);
  board.querySelector('output').textContent = name;
}

function load_all(board) {
  for (const image of board.querySelectorAll('[data-step] img')) image.loading = 'eager';
}

function show(index) {
  place = Math.min(row.length - 1, Math.max(0, index));
  const cell = row[place];
  dialog.querySelector('img').src = cell.dataset.large;
  dialog.querySelector('p').textContent = cell.title;
  const [before, after] = dialog.querySelectorAll('button');
  before.disabled = place === 0;
  after.disabled = place === row.length - 1;
}

function open(cell) {
  if (!dialog) {
    dialog = document.createElement('dialog');
    dialog.className = 'ksh-dialog';
    const image = document.createElement('img'), foot = document.createElement('div'), said = document.createElement('p');
    image.alt = '';
    const [before, after, close] = ['←', '→', '✕'].map((sign) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = sign;
      return button;
    });
    before.onclick = () => show(place - 1);
    after.onclick = () => show(place + 1);
    close.onclick = () => dialog.close();
    foot.append(before, said, after, close);
    dialog.append(image, foot);
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener('keydown', (event) => {
      if (event.key === 'ArrowLeft') show(place - 1);
      if (event.key === 'ArrowRight') show(place + 1);
    });
    document.body.append(dialog);
  }
  row = [...(cell.closest('[data-row]') || element).querySelectorAll('[data-large]')];
  show(row.indexOf(cell));
  dialog.showModal();
}

element.addEventListener('click', (event) => {
  const cell = event.target.closest('[data-large]');
  if (cell) open(cell);
});
element.addEventListener('input', (event) => {
  const board = event.target.closest('[data-board]');
  if (!board || event.target.type !== 'range') return;
  const { value, max } = event.target;
  shown.set(board.dataset.board, value === max ? null : JSON.parse(event.target.dataset.values)[value]);
  load_all(board);
  show_step(board);
});
element.addEventListener('scroll', (event) => {
  const name = event.target.dataset && event.target.dataset.scroll;
  if (!name) return;
  const left = event.target.scrollLeft;
  scrolled.set(name, left + event.target.clientWidth > event.target.scrollWidth - 8 ? null : left);
}, true);
new MutationObserver(() => {
  for (const board of element.querySelectorAll('[data-board]:not([data-placed])')) {
    board.dataset.placed = '1';
    const slider = board.querySelector('input[type=range]');
    if (!slider) continue;
    const place = JSON.parse(slider.dataset.values).indexOf(shown.get(board.dataset.board));
    if (place >= 0) slider.value = place;
    if (shown.size) load_all(board);
    show_step(board);
  }
  for (const sheet of element.querySelectorAll('[data-scroll]:not([data-placed])')) {
    sheet.dataset.placed = '1';
    const left = scrolled.get(sheet.dataset.scroll);
    if (scrolled.has(sheet.dataset.scroll)) sheet.scrollLeft = left === null ? sheet.scrollWidth : left;
  }
}).observe(element, { childList: true, subtree: true });
