(slug, query, show) => {
  window.kshGrid = { slug: slug || '', query: query || '', show: show || 'all' };
  window.dispatchEvent(new CustomEvent('ksh-grid'));
  return [];
}
