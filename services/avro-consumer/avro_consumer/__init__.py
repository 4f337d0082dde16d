"""Reads news as a group member, commits after the effect, sends poison records to the dead-letter topic."""
