"""The job that creates and checks topics, subjects and the connector before any service starts."""
