"""The story that `keystore demo` tells, told to anybody who listens: a terminal, JSON, a test."""
