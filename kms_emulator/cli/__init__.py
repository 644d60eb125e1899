"""The command line: `kms-emulator serve`, `env`, `key`, `clock`, `calls`, `reset`."""
