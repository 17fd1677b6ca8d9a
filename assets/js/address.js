// The address says which project and tab are shown, so that a reload comes back to them; Back and Forward go between them.
let open = false;  // until the page shows what the address asks for, the address is not changed

function show(name, value, before) {
  const address = new URL(location.href), was = address.searchParams.get(name) || before;
  if (!value || was === value) return;
  address.searchParams.set(name, value);
  if (open && was) history.pushState(null, '', address); else history.replaceState(history.state, '', address);
}

window.kshAddress = {
  project: (slug) => { show('project', slug); return []; },
  tab: (tab) => { if (open) show('tab', tab, 'caption'); return []; },
  opened: () => { open = true; return []; },
};
// gradio reports no tab once it has lost the studio; its reload afterwards should come back to the one that is shown.
document.addEventListener('click', (event) => {
  const button = /^tab-(\w+)-button$/.exec((event.target.closest('[role="tab"]') || {}).id);
  if (button) window.kshAddress.tab(button[1]);
});
window.addEventListener('popstate', () => trigger('select', { index: 0, value: location.search }));
