"""Judges a pipeline from its topics, files and logs alone: what was lost, duplicated, wrong or late."""
