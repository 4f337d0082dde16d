"""Counts words exactly once with Quix Streams and keeps the counts in state."""
