"""Seeds: files that say which keys and users an emulator begins with, and goes back to at every reset."""
