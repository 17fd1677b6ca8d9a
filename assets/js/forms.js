// Forms: what stands in them is kept as a draft of the project until the form is as it came. The Generate form is also
// kept by the studio, by a count of its changes: the higher one is the newer form. Used by way of `window.kshForms`.
const SEND_AFTER = 400, TRY_AGAIN_AFTER = 4000;
const drafts = window.kshDrafts, forms = new Map();
let project = '', opening = {};

const isShown = (form, slug) => form.key && (form.everywhere || form.slug === slug);
const same = (one, other) => String(one ?? '') === String(other ?? '');

// What the studio says of a project: asked once for all forms, and again until there is an answer.
function opened(slug) {
  return opening[slug] ??= (async () => {
    for (;;) {
      const reply = await drafts.call('forms', 'ksh_open_forms', [slug]);
      if (reply && reply.ok) {
        drafts.dropOthers(reply.place.split('/')[0], reply.places);
        return reply;
      }
      if (reply || project !== slug) { delete opening[slug]; return null; }
      await new Promise((again) => setTimeout(again, TRY_AGAIN_AFTER));
    }
  })();
}

// What stands in the form of this project: what was kept, where there is something, over what it begins with.
async function restore({ name, fields, start, server, everywhere }, slug, current) {
  const before = forms.get(name), unchanged = fields.map(() => undefined);
  if (before && (everywhere || before.slug === slug)) return unchanged;  // gradio reports some changes twice
  const form = { fields, server, everywhere, slug, early: before ? before.early : {} };
  if (!everywhere && project !== slug) { project = slug; opening = {}; }
  forms.set(name, form);
  if (!slug && !everywhere) return unchanged;
  const reply = everywhere ? { place: 'everywhere' } : await opened(slug);
  if (forms.get(name) !== form) return unchanged;
  if (!reply) { forms.delete(name); return unchanged; }
  form.start = { ...(start || reply.starts[name]) };
  form.revision = server ? reply.revision : 0;
  const key = `${reply.place}/form/${name}`, draft = drafts.get(key), kept = server ? reply.values : {};
  const newer = draft && draft.revision > form.revision;
  form.values = { ...form.start, ...(newer ? draft.values : kept) };
  if (newer) form.revision = draft.revision;
  form.key = key;
  if (draft && !newer) drafts.drop(key);
  if (newer && server) send(form);
  note(form, form.early);
  form.early = {};
  form.reported = fields.map(([field]) => form.values[field]);
  return form.reported;
}

// The page reports all fields whenever one has changed; only those that differ from the last report are taken, so that
// an old value of another field does not replace what was just typed there.
function changed(name, slug, current) {
  const form = forms.get(name);
  if (!form || !isShown(form, slug)) return;
  const values = {};
  form.fields.forEach(([field], k) => { if (!same(form.reported[k], current[k])) values[field] = current[k]; });
  form.reported = [...current];
  note(form, values);
}

function note(form, values) {
  if (Object.entries(values).every(([field, value]) => same(form.values[field], value))) return;
  Object.assign(form.values, values);
  const differing = Object.entries(form.values).filter(([field, value]) => !same(form.start[field], value));
  form.revision += 1;
  if (form.server) drafts.put(form.key, { revision: form.revision, values: form.values });
  else if (differing.length) drafts.put(form.key, { revision: form.revision, values: Object.fromEntries(differing) });
  else drafts.drop(form.key);
  if (form.server && !form.timer) form.timer = setTimeout(() => send(form), SEND_AFTER);
}

// To the studio: the draft is dropped once it says that it keeps it.
async function send(form) {
  clearTimeout(form.timer);
  const revision = form.revision, values = { ...form.values };
  form.timer = -1;
  const reply = await drafts.call('forms', 'ksh_keep_form', [form.slug, revision, values]);
  form.timer = 0;
  if (reply && reply.ok && reply.kept && form.revision === revision) drafts.drop(form.key);
  else if (reply && reply.ok && !reply.kept) form.revision = Math.max(form.revision, reply.revision + 1);
  if (drafts.get(form.key)) form.timer = setTimeout(() => send(form), reply && reply.ok ? SEND_AFTER : TRY_AGAIN_AFTER);
}

function saved(name, slug, current) {
  const form = forms.get(name);
  if (!form || !isShown(form, slug)) return;
  form.fields.forEach(([field], k) => { form.start[field] = form.values[field] = current[k]; });
  form.reported = [...current];
  drafts.drop(form.key);
}

// Typed words are taken from the field itself, at every key: gradio reports them later, or never when it has lost the studio.
document.addEventListener('input', (event) => {
  const box = event.target;
  if (!box.closest || box.getAttribute('role') === 'combobox' || box.type === 'file') return;
  for (const form of forms.values())
    for (const [field, id] of form.fields)
      if (box.closest(`#${id}`)) {
        const values = { [field]: valueOf(box) };
        if (isShown(form, project)) note(form, values); else Object.assign(form.early, values);
      }
}, true);

function valueOf(box) {
  if (box.type === 'checkbox') return box.checked;
  if (box.type === 'number' || box.type === 'range') return box.value === '' ? null : Number(box.value);
  return box.value;
}

const unsent = () => [...forms.values()].filter((form) => form.server && form.key && drafts.get(form.key));
drafts.onLeaving(() => unsent().forEach(send));
drafts.onAnswering(() => unsent().filter((form) => form.timer !== -1).forEach(send));
window.kshForms = { restore, changed, saved };
