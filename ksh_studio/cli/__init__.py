"""Everything for a terminal: commands, options, the printed events, the doctor."""
