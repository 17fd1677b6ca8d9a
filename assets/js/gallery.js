element.addEventListener('click', (event) => {
  const picture = event.target.closest('[data-picture]');
  if (picture) trigger('select', { index: 0, value: picture.dataset.picture });
});
