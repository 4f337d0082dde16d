"""Commands on a cluster itself: groups, offsets, records and dead letters, through Kafka alone."""
