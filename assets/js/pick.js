// A click on anything that carries `data-pick` is told to the server by that value.
element.addEventListener('click', (event) => {
  const picked = event.target.closest('[data-pick]');
  if (picked) trigger('select', { index: 0, value: picked.dataset.pick });
});
