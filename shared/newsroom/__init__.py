"""What the services share: settings, topics, Kafka clients, Avro wire format, logging, health, lifecycle."""
