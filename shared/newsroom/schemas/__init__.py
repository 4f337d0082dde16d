"""Avro and the schema registry: the extra `schemas` of the package."""
