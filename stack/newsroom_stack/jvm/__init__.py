"""Kafka, Connect and the registry: download, verification and JVM command lines."""
