"""What holds for the stack as processes and as containers alike: a test file of each inherits these tests."""

from collections import Counter

from newsroom_stack.pipeline.story import sink_lines
from support.pipeline import Pipeline
from support.waiting import wait_for


class Scenarios:
    """Tests of a running stack, which the fixture `pipeline` provides."""

    def test_headlines_are_consumed_with_the_labs_words(self, pipeline: Pipeline) -> None:
        wait_for("a consumed headline", lambda: "Consumed : News(" in pipeline.log("avro-consumer-1"))
        assert {(record.value or b"?")[0] for record in pipeline.observer.read("news")} == {0}

    def test_rounds_count_every_word_and_join_all_of_them(self, pipeline: Pipeline) -> None:
        count = pipeline.count_rounds_and_join_all(6)["value10"]
        counted = f"KTable wordCounts : key value10 - value {count}"
        wait_for("the count's line", lambda: counted in pipeline.log("wordcount-stream-1"))
        joined = f"key value10 - value ({count}, active)"
        wait_for("the join's line", lambda: joined in pipeline.log("join-service-1"))

    def test_the_connectors_file_holds_the_topics_values(self, pipeline: Pipeline) -> None:
        assert pipeline.rounds(1).code == 0
        values = Counter((record.value or b"").decode() for record in pipeline.observer.read("mytopic"))

        def written() -> Counter[str]:
            return Counter(pipeline.stack.execute("connect", "cat", "test.sink.txt").splitlines())

        wait_for("the connector's file", lambda: written() == values)
        assert sink_lines(pipeline.stack) == values.total()

    def test_an_incompatible_schema_is_refused_and_nothing_is_written(self, pipeline: Pipeline) -> None:
        pipeline.create_topic("refusal")
        options = ("--topic", "refusal", "--count", "1", "--schema")
        first = pipeline.command("news-producer", *options, "schemas/news.avsc")
        assert first.code == 0, first.output
        refused = pipeline.command("news-producer", *options, "schemas/news-v2-required.avsc")
        assert refused.code == 1
        assert all(word in refused.output for word in ("refusal-value", "BACKWARD", "409")), refused.output
        assert pipeline.registry("/subjects/refusal-value/versions").json() == [1]
        assert pipeline.total("refusal") == 1
        accepted = pipeline.command("news-producer", *options, "schemas/news-v2-optional.avsc")
        assert accepted.code == 0, accepted.output

    def test_old_and_new_readers_both_read_old_and_new_records(self, pipeline: Pipeline) -> None:
        pipeline.create_topic("evolution")
        for schema in ("schemas/news.avsc", "schemas/news-v2-optional.avsc"):
            sent = pipeline.command("news-producer", "--topic", "evolution", "--count", "2", "--schema-path", schema)
            assert sent.code == 0, sent.output
        assert pipeline.registry("/subjects/evolution-value/versions").json() == [1, 2]
        old, new = (
            [entry["value"] for entry in pipeline.consume("evolution", name, "--reader-schema", f"schemas/{name}.avsc")]
            for name in ("news", "news-v2-optional")
        )
        assert [sorted(value) for value in old] == [["media", "title"]] * 4
        assert [value["test"] for value in new] == [None] * 4
        assert [value["title"] for value in old] == [value["title"] for value in new]

    def test_the_controller_is_the_quorums_leader(self, pipeline: Pipeline) -> None:
        leader = pipeline.quorum_leader()

        def shown() -> bool:
            cluster = pipeline.api("/api/v1/cluster").json()
            return (cluster["controller_id"], cluster["error"]) == (leader, None)

        wait_for(f"node {leader} as the controller, without an error", shown)
        metric = f"newsroom_status_controller_id {leader:.1f}"
        wait_for("the controller's metric", lambda: metric in pipeline.api("/metrics").text)
