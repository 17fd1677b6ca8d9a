"""Work that lives in its own process: start, status, requests, queue, owner, journal, history."""
