"""Reads news as a member of a consumer group and sends poison records to a dead-letter topic."""
