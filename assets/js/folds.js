// What folds open at a click stays as the visitor left it when its content is written anew.
{
  const left = new Map();
  element.addEventListener('toggle', (event) => {
    const name = event.target.dataset && event.target.dataset.fold;
    if (name) left.set(name, event.target.open);
  }, true);
  new MutationObserver(() => {
    for (const fold of element.querySelectorAll('[data-fold]:not([data-placed])')) {
      fold.dataset.placed = '1';
      if (left.has(fold.dataset.fold)) fold.open = left.get(fold.dataset.fold);
    }
  }).observe(element, { childList: true, subtree: true });
}
