"""What the pages say, as HTML: sparklines, lanes, words without stop words, and the page of a topic."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest

from newsroom.health import Health
from status_api.app import create_app
from status_api.marks import Finding, TimeLag
from status_api.model import Rebalance
from status_api.page import SPARK_WIDTH, duration, spark, trend, who
from status_api.settings import StatusSettings
from status_api.store import SnapshotStore
from status_api.terms import STOP_WORDS, TERMS
from unit.status_api.fakes import Site, a_snapshot


def later(site: Site, number: int, seconds: float) -> None:
    snapshot = a_snapshot(number)
    site.store.succeeded(replace(snapshot, collected_at=snapshot.collected_at + timedelta(seconds=seconds)))


def test_a_sparkline_ends_at_the_right_and_leaves_out_what_is_not_known() -> None:
    assert spark([0.0, None, 10.0]) == "118,23.0 120,1.0"
    assert spark([5.0] * (SPARK_WIDTH + 1)).split()[0] == "0,1.0"
    assert (spark([]), spark([0.0])) == ("", "120,23.0")


def test_a_sparkline_is_said_in_words() -> None:
    assert trend([None, 3.0, 1200.0, 7.0]) == "last 10 minutes: at least 3, at most 1,200, now 7"
    assert trend([None]) == "last 10 minutes: not known yet"


def test_rates_and_sparklines_are_on_the_page(site: Site) -> None:
    for number in range(3):
        later(site, number + 1, 5.0 * number)
    page = site.client.get("/").text
    news = page[page.index('class="node topic at-news"') :]
    assert "0.0 /s" in news[: news.index("</li>")]
    assert 'aria-label="records a second, last 10 minutes: at least 0, at most 0, now 0"' in page
    assert 'aria-label="lag, last 10 minutes: at least 2, at most 2, now 2"' in page


def test_words_come_with_and_without_stop_words(site: Site) -> None:
    snapshot = a_snapshot()
    words = (("the", 30), ("The", 20), *((f"w{number}", 10) for number in range(30)))
    site.store.succeeded(replace(snapshot, tables=replace(snapshot.tables, top_words=words)))
    page = site.client.get("/").text
    every, telling = (
        re.findall('class="word" title="([^"]+)"', page[page.index(f'id="{name}"') :].partition("</ol>")[0])
        for name in ("all-words", "telling-words")
    )
    assert (every[:3], len(every)) == (["the", "The", "w0"], 12)
    assert (telling[:2], len(telling)) == (["w0", "w1"], 12)
    assert all(word == word.lower() for word in STOP_WORDS)


def test_every_term_on_the_page_has_its_sentence(live_site: Site) -> None:
    page = unescape(live_site.client.get("/").text)
    used = set(re.findall(r'aria-describedby="(term-[^"]+)"', page))
    assert used <= set(re.findall(r'<dd id="([^"]+)"', page))
    assert len(used) > 5
    assert all(sentence in page for sentence in TERMS.values())


def test_the_event_list_says_who_joined_and_who_left(site: Site) -> None:
    began = a_snapshot().collected_at
    event = Rebalance(
        3, "avro-consumer", began, began, ("m-2",), ("m-1",), epoch=9, members={"m-2": "new", "m-1": "old"}
    )
    assert who(event) == "new joined; old left"
    site.store.succeeded(replace(a_snapshot(), rebalances=(event,)))
    page = site.client.get("/").text
    assert ">new joined; old left<" in page
    assert ">epoch 9<" in page


def test_lanes_are_of_the_wished_group_or_of_the_last_that_rebalanced(live_site: Site) -> None:
    lanes = live_site.json("/live/lanes")
    assert (lanes["group"], lanes["groups"]) == ("avro-consumer", ["avro-consumer"])
    assert [lane["partition"] for lane in lanes["lanes"]] == ["news[0]", "news[1]", "news[2]"]
    assert lanes["owners"] == [{"name": "avro-0", "colour": 0}]
    assert live_site.json("/live/lanes?group=none")["group"] == "avro-consumer"


def test_without_a_snapshot_there_are_no_lanes(site: Site) -> None:
    assert site.client.get("/live/lanes").status_code == 503
    assert "No snapshot yet" in site.client.get("/topics/news").text


def test_the_page_of_a_topic_has_partitions_leaders_and_readers(live_site: Site) -> None:
    page = live_site.client.get("/topics/word").text
    assert 'data-live="/live/topics/word"' in page
    assert '<span class="pill busy">1, 2</span>' in page
    assert "No group has committed offsets" in page
    assert "avro-consumer" in live_site.client.get("/live/topics/news").text
    assert live_site.client.get("/topics/__consumer_offsets").status_code == 200, "internal topics have one too"
    assert live_site.client.get("/topics/none").status_code == 404


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a" * 249, "x\u0007y"])
def test_hostile_names_are_shown_harmlessly(site: Site, name: str) -> None:
    snapshot = a_snapshot()
    group, *others = snapshot.groups
    member = replace(group.members[0], client_id=name, instance_id=None)
    groups = (replace(group, id=name, members=(member,)), *others)
    topics = (replace(snapshot.topics[1], name=name), *snapshot.topics)
    event = Rebalance(1, name, snapshot.collected_at, joined=("m",), members={"m": name})
    site.store.succeeded(replace(snapshot, groups=groups, topics=topics, rebalances=(event,)))
    for path in ("/", "/live", "/live/lanes"):
        answer = site.client.get(path)
        assert answer.status_code == 200
        assert answer.content_type == "application/json" or "<script>alert" not in answer.text


def test_the_lag_in_seconds_and_what_is_wrong_are_on_the_page(site: Site) -> None:
    snapshot = a_snapshot()
    wrong = Finding("stopped", "No commit for 20 s although records wait", 20.0, 15.0)
    consumer, *others = snapshot.groups
    rows = [replace(row, finding=wrong) if row.topic == "news" and row.lag else row for row in consumer.partitions]
    groups = (replace(consumer, partitions=tuple(rows)), *others)
    site.store.succeeded(replace(snapshot, groups=groups))
    page = site.client.get("/").text
    assert '<td class="n behind" title="No commit for 20 s although records wait">2<br>' in page
    assert '<small title="record, within 0.0 s">2.5 s</small>' in page
    assert "No commit for 20 s although records wait: 1 partition" in page


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (90.0, "1.5 min"), (7200.0, "2.0 h")])
def test_a_lag_in_seconds_is_short(seconds: float, text: str) -> None:
    assert duration(TimeLag(seconds, "record", 0.0)) == text


def test_the_page_links_to_the_pages_of_the_settings_and_names_the_labs_commands() -> None:
    settings = StatusSettings(links="Kafka UI=http://localhost:8080, A <b>=https://b.example/c?d=e&f=g")
    page = create_app(SnapshotStore(1.0), Health(), settings).test_client().get("/").text
    assert '<a href="http://localhost:8080">Kafka UI</a>' in page
    assert '<a href="https://b.example/c?d=e&amp;f=g">A &lt;b&gt;</a>' in page
    assert "newsroom lab list" in page
