// The page's language: the one just picked, else that of an earlier visit, else the browser's, which gradio took already.
async (picked) => {
  const earlier = /(?:^|; )ksh_language=(en|ko)/.exec(document.cookie);
  const wanted = picked || (earlier && earlier[1]);
  document.documentElement.lang = wanted || ((navigator.language || '').startsWith('ko') ? 'ko' : 'en');
  if (!wanted) return [];
  if (picked) {
    const kept = location.protocol === 'https:' ? 'SameSite=None; Secure; Partitioned' : 'SameSite=Lax';
    document.cookie = `ksh_language=${wanted}; Path=/; Max-Age=31536000; ${kept}`;
  }
  try {
    const frontend = await import(new URL('assets/__MODULE__', document.baseURI).href);
    frontend.changeLocale(wanted);
  } catch (error) {
    console.info('This gradio cannot change its language while it runs.', error);
  }
  window.dispatchEvent(new CustomEvent('ksh-language', { detail: wanted }));
  return [];
}
