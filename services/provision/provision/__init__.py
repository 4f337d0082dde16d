"""The one job that creates and checks the topics and subjects before any service starts."""
