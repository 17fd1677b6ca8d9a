"""Generated pictures on disk, with their recipes."""
