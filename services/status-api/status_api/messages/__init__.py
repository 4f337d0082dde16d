"""The messages of Kafka's protocol that kafka-python lacks, in the form in which it reads messages.

Their fields follow Kafka's protocol guide (KIP-848): https://kafka.apache.org/protocol
"""
