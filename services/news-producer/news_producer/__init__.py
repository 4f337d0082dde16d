"""Sends headlines as Avro, or the rounds of the lab as strings, and accounts for every delivery."""
