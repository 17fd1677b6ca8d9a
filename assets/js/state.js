// What a message may speak of is as it was, or has changed: see messages.js.
(state) => {
  window.dispatchEvent(new CustomEvent('ksh-state', { detail: state }));
  return [];
}
