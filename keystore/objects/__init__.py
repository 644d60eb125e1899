"""Places of immutable named objects: a directory, or a bucket of an object store."""
