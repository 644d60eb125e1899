"""Google Cloud KMS: key rings, keys, numbered versions with states of their own, one of them primary."""
