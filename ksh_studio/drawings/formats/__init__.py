"""What other programs keep beside drawings: caption files, tables."""
