"""Questions to a cluster that librdkafka cannot ask: the extra `admin` of the package."""
