"""AWS KMS: one key with an id and an ARN, states of the whole key, materials behind it that nobody names."""
