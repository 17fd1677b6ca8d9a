"""The server: headers and limits, our own file routes, start-up."""
