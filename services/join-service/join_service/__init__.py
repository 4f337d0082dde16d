"""Joins the stream of labels with the table of word counts."""
