// Files that a place on the page cannot take are refused before they are sent, by name, with what to do; the others go on.
// gradio would say it in English only. What a place takes stands in the page's own configuration (`file_types`).
if (window.kshUploads) return;
window.kshUploads = true;
const TEXTS = __TEXTS__;
const NAMED = 4;
let passing = false;

function places() {
  const parts = window.gradio_config.components.map((part) => part.props || {});
  return parts.filter((props) => props.elem_id && Array.isArray(props.file_types));
}

// The place that an element belongs to: around it, or, for a button that opens a file dialogue, beside it.
function placeOf(element) {
  return places().find(({ elem_id: id }) => {
    const part = document.getElementById(id);
    return part && (part.contains(element) || [part.previousElementSibling, part.nextElementSibling].includes(element));
  });
}

function filled(name, values) {
  const fill = (text) => text.replace(/\{(\w+)\}/g, (mark, key) => (key in values ? values[key] : mark));
  return Object.fromEntries(Object.entries(TEXTS).map(([language, each]) => [language, fill(each[name] || '')]));
}

function say(texts) {
  window.dispatchEvent(new CustomEvent('ksh-message', { detail: { texts, topic: 'upload' } }));
}

function joined(...sentences) {
  return Object.fromEntries(Object.keys(TEXTS).map((language) => [language, sentences.map((each) => each[language]).join(' ').trim()]));
}

function names(files) {
  return files.slice(0, NAMED).map((file) => file.name).join(', ') + (files.length > NAMED ? ` … (+${files.length - NAMED})` : '');
}

// Those of the files that the place takes; the others are named in a message.
function taken(place, files) {
  const kinds = place.file_types, most = window.gradio_config.max_file_size || Infinity;
  const other = files.filter((file) => !kinds.some((kind) => file.name.toLowerCase().endsWith(kind)));
  const large = files.filter((file) => !other.includes(file) && file.size > most);
  if (other.length) say(joined(filled('upload_kind', { names: names(other), kinds: kinds.join(' ') }), filled(`upload_${place.elem_id}`, {})));
  else if (large.length) say(filled('upload_large', { names: names(large), limit: Math.floor(most / 1e6) }));
  return files.filter((file) => !other.includes(file) && !large.includes(file));
}

function carrying(files) {
  const data = new DataTransfer();
  files.forEach((file) => data.items.add(file));
  return data;
}

document.addEventListener('change', (event) => {
  const input = event.target, place = input.type === 'file' && input.files.length && placeOf(input);
  if (!place) return;
  const files = [...input.files], good = taken(place, files);
  if (good.length === files.length) return;
  input.files = carrying(good).files;
  if (!good.length) event.stopImmediatePropagation();
}, true);

document.addEventListener('drop', (event) => {
  const place = !passing && event.dataTransfer && event.dataTransfer.files.length && placeOf(event.target);
  if (!place) return;
  const files = [...event.dataTransfer.files];
  const folder = [...event.dataTransfer.items].some((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()?.isDirectory);
  if (folder) say(filled('upload_folder', {}));
  const good = folder ? [] : taken(place, files);
  if (good.length === files.length) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  event.target.dispatchEvent(new DragEvent('dragleave', { bubbles: true, cancelable: true }));
  if (!good.length) return;
  passing = true;
  event.target.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: carrying(good) }));
  passing = false;
}, true);
