"""What the services share: settings, topics, Kafka clients, Avro wire format, logging, health, lifecycle."""

__version__ = "0.1.0"
"""The version of every package of this repository: their pyproject files read it here."""
