"""The command line `newsroom`."""
