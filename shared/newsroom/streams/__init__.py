"""What the two Quix Streams services share: the extra `streams` of the package."""
