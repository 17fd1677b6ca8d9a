// Reads the answers to the calls that the page makes, and says each refusal in the place for messages: gradio itself shows no
// sentence for an event without a queue. Also says when the studio does not answer, and when it is back.
if (window.kshAnswers) return;
window.kshAnswers = true;
const TEXTS = __TEXTS__;
const PRESSES = ['click', 'submit', 'upload', 'select'], AWAY = [502, 503, 504], EVERY = 2000;
const plainFetch = window.fetch.bind(window);
const saidLast = new Map(), queued = new Map(), joining = new Set();
let leaving = false, lost = false, checking = false;

const texts = (name) => Object.fromEntries(Object.entries(TEXTS).map(([language, each]) => [language, each[name]]));
const say = (detail) => window.dispatchEvent(new CustomEvent('ksh-message', { detail }));
const over = (topic) => window.dispatchEvent(new CustomEvent('ksh-message-over', { detail: topic }));
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Which kind of call this is; nothing for what does not concern us.
function kindOf(address) {
  if (address.origin !== location.origin) return '';
  const found = /\/(?:gradio_api\/(run|queue\/join|queue\/data|upload|component_server)|(ksh))(?:\/|$)/.exec(address.pathname);
  return found ? found[1] || found[2] : '';
}

// The event of a call: what its messages are about, and how it was set off ("click", "tick", …). What changes.js asks
// counts as a tick.
function eventOf(address, body) {
  if (address.pathname.endsWith('/changes')) return { name: 'tick', topic: 'event changes', outputs: 0 };
  try {
    const { fn_index: number, trigger_id: part, fn_name: call } = JSON.parse(body);
    if (call) return { topic: `call ${call}`, outputs: 0 };
    const { targets, outputs } = window.gradio_config.dependencies.find((each) => each.id === number);
    const [, name] = targets.find(([id]) => id === part) || targets[0] || [];
    return { name, topic: `event ${number}`, outputs: outputs.length };
  } catch { return { topic: '', outputs: 0 }; }
}

// The sentence of a refusal in every language: the server sends it beside the text that other programs read.
function sentenceOf(error, status) {
  try {
    const sentence = JSON.parse(error.title);
    if (sentence.en) return sentence;
  } catch { /* not an error of ours */ }
  if (status === 401) return texts('login');
  if (status === 413) return texts('too_large');
  if (status === 422 || (error && error.error && status === 500)) return texts('value');
  return texts(status === 503 ? 'busy' : 'unexpected');
}

function refused(event, error, status) {
  saySentence(event, sentenceOf(error, status));
}

// What nobody pressed is said once, not every few seconds, until it goes well again.
function saySentence(event, sentence) {
  const unasked = !PRESSES.includes(event.name), key = JSON.stringify(sentence);
  if (unasked && event.topic && saidLast.get(event.topic) === key) return;
  saidLast.set(event.topic, key);
  say({ texts: sentence, topic: event.topic, unasked });
}

function done(event) {
  saidLast.delete(event.topic);
  if (PRESSES.includes(event.name)) over(); else if (event.topic) over(event.topic);
}

// A line of the stream that answers queued calls. A refusal is said here, and is a call without effect for gradio.
async function heard(line) {
  if (!line.startsWith('data:') || !line.includes('"process_completed"')) return line;
  const answer = JSON.parse(line.slice(5));
  if (!queued.has(answer.event_id)) await Promise.allSettled(joining);  // the stream was quicker than the answer to the call
  const event = queued.get(answer.event_id) || { topic: '', outputs: 0 };
  queued.delete(answer.event_id);
  if (answer.success) { done(event); return line; }
  refused(event, answer.output, 500);
  return `data: ${JSON.stringify({ ...answer, success: true, output: without(event) })}`;
}

function hearing(stream) {
  let rest = '';
  const lines = new TransformStream({
    async transform(chunk, out) {
      const whole = (rest + chunk).split('\n');
      rest = whole.pop();
      for (const line of whole) out.enqueue(`${await heard(line)}\n`);
    },
    flush(out) { out.enqueue(rest); },
  });
  return stream.pipeThrough(new TextDecoderStream()).pipeThrough(lines).pipeThrough(new TextEncoderStream());
}

// What gradio is given in place of an error: an answer that changes nothing. With an error it would lay the word "Error" over
// the inputs of the event, and set off their changes again and again; after a lost connection it would reload the page.
function without(event) {
  return { data: Array(event.outputs).fill({ __type__: 'update' }), is_generating: false, duration: 0, average_duration: 0 };
}

async function read(kind, event, answer) {
  if (kind === 'queue/data' && answer.ok) return new Response(hearing(answer.body), answer);
  if (!answer.ok) {
    refused(event, await answer.clone().json().catch(() => null), answer.status);
    return kind === 'run' ? Response.json(without(event)) : answer;
  }
  if (kind === 'run' || event.name === 'tick') done(event);
  if (kind === 'queue/join') queued.set((await answer.clone().json()).event_id, event);
  if (kind !== 'component_server') return answer;
  const { ok, texts: sentence } = await answer.clone().json() || {};
  if (ok === false && sentence) saySentence(event, sentence); else if (ok) done(event);
  return answer;
}

async function reachable(root) {
  try {
    const answer = await plainFetch(`${root}gradio_api/app_id`, { signal: AbortSignal.timeout(10000) });
    if (AWAY.includes(answer.status)) return null;
    return answer.ok ? (await answer.json()).app_id : '';
  } catch { return null; }
}

// Until the studio answers; `pressed`: somebody waits for an answer, and is told in any case.
async function check(root, pressed) {
  if (lost && pressed) say({ texts: texts('lost'), kind: 'warn', topic: 'connection' });
  if (checking) return;
  checking = true;
  let id;
  while ((id = await reachable(root)) === null) {
    if (!lost && !leaving) say({ texts: texts('lost'), kind: 'warn', topic: 'connection' });
    lost = true;
    await wait(EVERY);
  }
  checking = false;
  if (!lost) { if (pressed) say({ texts: texts('again') }); return; }
  lost = false;
  if (id && id !== window.gradio_config.app_id) { location.reload(); return; }  // started anew: it knows nothing of this page
  say({ texts: texts('back'), kind: 'good', topic: 'connection', seconds: 6 });
}

window.fetch = (input, options) => {
  const address = new URL(input instanceof Request ? input.url : input, location.href), kind = kindOf(address);
  if (!kind) return plainFetch(input, options);
  const answer = ask(kind, address, input, options);
  if (kind === 'queue/join') {
    joining.add(answer);
    answer.catch(() => null).finally(() => joining.delete(answer));
  }
  return answer;
};

async function ask(kind, address, input, options) {
  const event = eventOf(address, options && options.body), root = address.href.replace(/(gradio_api|ksh)\/.*/, '');
  const asked = event.name !== 'tick' && kind !== 'queue/data';
  try {
    const answer = await plainFetch(input, options);
    if (!AWAY.includes(answer.status) || kind === 'queue/join') return await read(kind, event, answer);
  } catch (error) {
    if (error.name === 'AbortError' || leaving) throw error;
    if (kind !== 'run' && kind !== 'queue/join') { check(root, asked); throw error; }
  }
  check(root, asked);
  return kind === 'run' ? Response.json(without(event)) : Response.json({ detail: '' }, { status: 500 });
}

// A download that is refused says why; the browser alone would only say that it failed.
document.addEventListener('click', async (event) => {
  const link = event.target.closest && event.target.closest('a.ksh-link[download]');
  if (!link || event.defaultPrevented || link.dataset.checked) return;
  event.preventDefault();
  const answer = await window.fetch(link.href, { headers: { Range: 'bytes=0-0' } }).catch(() => null);
  if (!answer || !answer.ok) return;
  const download = link.cloneNode(true);
  download.dataset.checked = 'yes';
  download.hidden = true;
  document.body.append(download);
  download.click();
  download.remove();
});
window.addEventListener('pagehide', () => { leaving = true; });
window.addEventListener('pageshow', () => { leaving = false; });
