"""The checks: pure functions from a history to findings. No check knows a Kafka client."""
