(suggested, prompt) => {
  // Decided here and now, not on the server: what is typed meanwhile stays.
  const before = window.kshSuggested;
  window.kshSuggested = suggested;
  return !(prompt || '').trim() || prompt === before ? suggested : prompt;
}
