"""The emulator's own controls, which no cloud has."""
