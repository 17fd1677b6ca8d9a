(slug) => {
  const address = new URL(location.href);
  if (slug) address.searchParams.set('project', slug);
  history.replaceState(history.state, '', address);
  return [];
}
