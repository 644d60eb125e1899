"""What the `key` commands do at each cloud's shape, one file each."""
