import logging

import pytest

from newsroom.logs import configure_logging, get_logger
from newsroom_audit.checks.logs import log_findings, parse_lines, times_of
from newsroom_audit.findings import Kind


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_error_lines_and_stack_traces_of_our_services_are_found(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("test", log_format=log_format)
    log = get_logger("test")
    log.info("KTable wordCounts : key a - value 1")
    log.error("the brokers are gone", topic="news")
    try:
        int("not a number")
    except ValueError:
        log.exception("an error that nobody foresaw")
    logging.getLogger("library").warning("hm")
    lines = capsys.readouterr().out.splitlines()
    findings = list(log_findings("service.log", lines))
    kinds = [finding.kind for finding in findings]
    assert kinds.count(Kind.TRACE) == 1
    assert kinds.count(Kind.ERROR_LINE) == (1 if log_format == "json" else 2)
    assert findings[0].sentence.startswith("service.log line 2: ")
    assert "the brokers are gone" in findings[0].sentence
    assert len(times_of(lines, "KTable wordCounts")) == 1
    assert not list(log_findings("service.log", lines, allowed="the brokers are gone|nobody foresaw|Traceback"))


def test_a_trace_of_java_is_one_error_line() -> None:
    lines = [
        "[2026-01-31 12:00:00,123] INFO started (kafka.server.KafkaServer)",
        "[2026-01-31 12:00:01,000] ERROR it failed (kafka.server.KafkaServer)",
        "java.lang.IllegalStateException: no",
        "\tat kafka.server.KafkaServer.run(KafkaServer.scala:1)",
        "\tat java.base/java.lang.Thread.run(Thread.java:1)",
        "Caused by: java.io.IOException: disk",
        "\tat kafka.log.Log.append(Log.scala:2)",
        "[2026-01-31 12:00:02,000] INFO ended (kafka.server.KafkaServer)",
    ]
    findings = list(log_findings("kafka-1.log", lines))
    assert [finding.kind for finding in findings] == [Kind.ERROR_LINE, Kind.ERROR_LINE]
    assert findings[1].sentence == "kafka-1.log line 4: java.lang.IllegalStateException: no"
    assert next(line.at for line in parse_lines(lines)) == 1769860800.0


def test_restarts_are_remarks() -> None:
    lines = ["wordcount-stream-1 ended with exit code 1; its last lines:", "join-service-1 was ended by SIGKILL"]
    findings = list(log_findings("supervisor.log", lines))
    assert [finding.kind for finding in findings] == [Kind.RESTART, Kind.RESTART]
    assert not any(finding.kind.wrong for finding in findings)
