"""The whole stack as processes or containers, behind one command line: `newsroom`."""
