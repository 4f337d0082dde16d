"""Code that the two Quix Streams services share. It needs the extra `streams` of the package."""
