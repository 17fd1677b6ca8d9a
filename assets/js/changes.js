// Asks the studio once a second whether there is anything new in the project and the job that are shown, and sets off the
// page's updates (`tick`) only when there is. The question costs a page that nobody touches next to nothing; an update of
// gradio goes through dozens of parts.
const IN_VIEW = 1000, HIDDEN = 5000, AT_LEAST = 30000;  // milliseconds; the last one in case an update was lost
let updating = false;  // gradio drops a second update while the first is on its way: the next question then sees to it
let slug = '', job = '', version = null, updated = 0, asking = 0, timer;

if (window.kshChanges) window.kshChanges.end();  // this part of the page was made anew
const life = new AbortController();

async function look() {
  clearTimeout(timer);
  const mine = ++asking;  // an answer to an earlier question, about another project perhaps, is not read
  let now = null;
  try {
    const answer = slug && await fetch(`/ksh/${encodeURIComponent(slug)}/changes?job=${encodeURIComponent(job)}`);
    if (answer && answer.ok) now = await answer.text();
  } catch { /* answers.js says that the studio does not answer */ }
  if (mine !== asking || life.signal.aborted) return;
  const late = Date.now() - updated > AT_LEAST;
  if (now === null) version = null;
  else if (late || (now !== version && !updating)) {
    [version, updated, updating] = [now, Date.now(), true];
    trigger('tick');
  }
  timer = setTimeout(look, document.hidden ? HIDDEN : IN_VIEW);
}

// Another project or training is shown: ask at once.
function show(set) {
  const before = [slug, job].join();
  set();
  if ([slug, job].join() !== before) look();
  return [];
}

window.kshChanges = {
  project: (name) => show(() => { slug = name || ''; }),
  training: (id) => show(() => { job = id || ''; }),
  updated: () => { updating = false; return []; },
  end() { life.abort(); clearTimeout(timer); },
};
document.addEventListener('visibilitychange', look, { signal: life.signal });
