import threading

from confluent_kafka import KafkaError, KafkaException, TopicPartition


class CommittingClient:
    """Accepts every commit, or fails each with a code; waits while it hangs."""

    def __init__(self, code: int | None = None) -> None:
        self.code = code
        self.commits: list[dict[int, int]] = []
        self.answers = threading.Event()
        self.answers.set()

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        assert not asynchronous
        assert self.answers.wait(10)
        self.commits.append({offset.partition: offset.offset for offset in offsets})
        if self.code is not None:
            raise KafkaException(KafkaError(self.code))
        return offsets
