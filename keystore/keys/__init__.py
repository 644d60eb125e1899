"""The key hierarchy and the keystore file."""
