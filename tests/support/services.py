"""The settings of every service."""

from avro_consumer.settings import AvroConsumerSettings
from join_service.settings import JoinSettings
from news_producer.settings import ProducerSettings
from newsroom.settings import ServiceSettings
from provision.settings import ProvisionSettings
from status_api.settings import StatusSettings
from wordcount_stream.settings import WordcountSettings

SERVICES: list[type[ServiceSettings]] = [
    *(ProducerSettings, AvroConsumerSettings, WordcountSettings),
    *(JoinSettings, StatusSettings, ProvisionSettings),
]
