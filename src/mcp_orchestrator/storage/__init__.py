"""Where state is kept: the journal and what is remembered across restarts, in SQLite or in memory."""
