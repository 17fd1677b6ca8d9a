// Drafts: what was typed and is not confirmed by the studio yet, kept in the browser. A draft is one value under
// `<place>/<kind>/<name>`; a place is one project of one workspace. Other scripts use them by `window.kshDrafts`.
const PREFIX = 'ksh-draft/', MOST_DRAFTS = 1000, KEEPALIVE_BYTES = 60000, ANSWER_WITHIN = 60000;
const memory = new Map();  // drafts for which the browser has no room, or none at all (some private modes)
const store = openStore();

function openStore() {
  try {
    const store = window.localStorage;
    store.setItem(PREFIX, '');
    store.removeItem(PREFIX);
    return store;
  } catch (error) {
    return null;
  }
}

function stored() {
  return store ? Object.keys(store).filter((key) => key.startsWith(PREFIX)) : [];
}

function parsed(text) {
  try { return JSON.parse(text); } catch (error) { return null; }
}

function dropOldest(keys, butNot) {
  const time = (key) => (parsed(store.getItem(key)) || {}).time || 0;
  const oldest = keys.filter((key) => key !== butNot).sort((one, other) => time(one) - time(other))[0];
  if (oldest) store.removeItem(oldest);
  return Boolean(oldest);
}

function write(key, text) {
  if (!store) return false;
  const keys = stored();
  if (keys.length >= MOST_DRAFTS && !keys.includes(key)) dropOldest(keys, key);
  for (;;) {
    try {
      store.setItem(key, text);
      return true;
    } catch (error) {  // no room
      if (!dropOldest(stored(), key)) return false;
    }
  }
}

function put(key, value) {
  const text = JSON.stringify({ time: Date.now(), value });
  if (write(PREFIX + key, text)) memory.delete(key); else memory.set(key, text);
}

function get(key) {
  const kept = parsed(memory.get(key) || (store && store.getItem(PREFIX + key)));
  return kept ? kept.value : null;
}

function drop(key) {
  memory.delete(key);
  if (store) store.removeItem(PREFIX + key);
}

function keys(start) {
  const all = new Set([...memory.keys(), ...stored().map((key) => key.slice(PREFIX.length))]);
  return [...all].filter((key) => key.startsWith(start));
}

// Drafts of projects that this workspace no longer has.
function dropOthers(workspace, places) {
  for (const key of keys(`${workspace}/`))
    if (!places.includes(key.split('/').slice(0, 2).join('/'))) drop(key);
}

// Calls a function of the server in such a way that the call outlives the page; null when nothing answers.
async function call(element, name, data) {
  const config = window.gradio_config, component = config.components.find((one) => one.props.elem_id === element);
  const body = JSON.stringify({ data, component_id: component.id, fn_name: name, session_hash: 'drafts' });
  try {
    const reply = await fetch(new URL(`${config.api_prefix}/component_server`.slice(1), document.baseURI), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
      keepalive: new TextEncoder().encode(body).length < KEEPALIVE_BYTES,
      signal: AbortSignal.timeout(ANSWER_WITHIN),
    });
    return reply.ok ? await reply.json() : null;
  } catch (error) {
    return null;
  }
}

// `leaving`: send now what is not confirmed; `again`: the studio may answer again.
function onLeaving(leaving) {
  window.addEventListener('pagehide', leaving);
  document.addEventListener('visibilitychange', () => { if (document.hidden) leaving(); });
}

function onAnswering(again) {
  window.addEventListener('online', again);
  window.addEventListener('pageshow', again);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) again(); });
}

window.addEventListener('beforeunload', (event) => { if (memory.size) event.preventDefault(); });
window.kshDrafts = { put, get, drop, keys, dropOthers, call, onLeaving, onAnswering };
