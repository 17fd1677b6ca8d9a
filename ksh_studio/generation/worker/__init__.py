"""The worker process, which makes pictures for the page: the page's side and the process itself."""
