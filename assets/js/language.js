async (language) => {
  const chosen = language === 'ko' ? 'ko' : 'en';
  const kept = location.protocol === 'https:' ? 'SameSite=None; Secure; Partitioned' : 'SameSite=Lax';
  document.cookie = `ksh_language=${chosen}; Path=/; Max-Age=31536000; ${kept}`;
  document.documentElement.lang = chosen;
  try {
    const frontend = await import(new URL(`assets/${window.kshFrontend}`, document.baseURI).href);
    frontend.changeLocale(chosen);
    window.dispatchEvent(new CustomEvent('ksh-language', { detail: chosen }));
  } catch (error) {
    location.reload(); // a gradio whose frontend has no such function: the cookie does it at the next load
  }
  return [];
}
