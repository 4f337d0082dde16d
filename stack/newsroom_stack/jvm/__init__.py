"""Kafka, Connect and the registry: downloaded, verified, and how their JVMs are started."""
