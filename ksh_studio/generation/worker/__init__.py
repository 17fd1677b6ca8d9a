"""The resident process that draws for the page: the page's handle and the process itself."""
