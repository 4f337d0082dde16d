"""Messages of Kafka's protocol that kafka-python does not bring, in the form in which it reads them.

Field by field as Kafka's protocol guide has them (KIP-848): https://kafka.apache.org/protocol
"""
