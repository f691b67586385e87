"""The documents that are written by a command, so that they say what the code does: `make docs`."""
