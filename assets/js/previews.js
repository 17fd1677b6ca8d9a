// Previews: a click shows one large, with arrows to its neighbours; where a sheet was scrolled to is kept when it grows.
const scrolled = new Map();
let dialog, row = [], place = 0;

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
  row = [...(cell.closest('.ksh-row') || element).querySelectorAll('[data-large]')];
  show(row.indexOf(cell));
  dialog.showModal();
}

element.addEventListener('click', (event) => {
  const cell = event.target.closest('[data-large]');
  if (cell) open(cell);
});
element.addEventListener('scroll', (event) => {
  const name = event.target.dataset && event.target.dataset.scroll;
  if (!name) return;
  const left = event.target.scrollLeft;
  scrolled.set(name, left + event.target.clientWidth > event.target.scrollWidth - 8 ? null : left);
}, true);
new MutationObserver(() => {
  for (const sheet of element.querySelectorAll('[data-scroll]:not([data-placed])')) {
    sheet.dataset.placed = '1';
    const left = scrolled.get(sheet.dataset.scroll);
    if (scrolled.has(sheet.dataset.scroll)) sheet.scrollLeft = left === null ? sheet.scrollWidth : left;
  }
}).observe(element, { childList: true, subtree: true });
