"""The stack as plain processes of this machine."""
