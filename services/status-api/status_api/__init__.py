"""Shows brokers, topics, groups and lag as JSON, metrics and one page."""
