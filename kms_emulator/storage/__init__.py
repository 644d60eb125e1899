"""Where state lives when it shall survive: one directory, owned by one process, with one SQLite file."""
