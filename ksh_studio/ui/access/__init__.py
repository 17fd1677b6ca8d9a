"""Who may do what, and the guard around every handler."""
