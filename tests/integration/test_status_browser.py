"""The page's script in a real browser, over snapshots that the test makes: no cluster is needed."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr
from werkzeug.exceptions import abort

from status_api.model import Group, GroupMember, Rebalance, Snapshot
from status_api.settings import StatusSettings
from status_api.store import SnapshotStore
from support.browser import Browser, open_browser
from support.served import Served
from support.waiting import wait_for
from unit.status_api.fakes import a_snapshot, a_topic

pytestmark = pytest.mark.timeout(240)

OPEN = "return [...document.querySelectorAll('.group[open]')].map(group => group.dataset.key)"


@dataclass
class Source:
    """Takes a snapshot each second, as the collector does, until it is told to stop."""

    store: SnapshotStore = field(default_factory=lambda: SnapshotStore(1.0))
    snapshot: Snapshot = field(default_factory=lambda: replace(a_snapshot(), groups=a_snapshot().groups[:2]))
    paused: bool = False
    number: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def take(self) -> None:
        """Take a snapshot now."""
        self.number += 1
        self.store.succeeded(replace(self.snapshot, id=f"boot-{self.number}", collected_at=datetime.now(UTC)))

    def run(self) -> None:
        while True:
            if not self.paused:
                self.take()
            if self.ended.wait(1.0):
                return


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    thread = threading.Thread(target=source.run)
    thread.start()
    yield source
    source.ended.set()
    thread.join()


@pytest.fixture
def server(source: Source) -> Iterator[Served]:
    with Served(source.store) as served:
        yield served


@pytest.fixture
def browser(server: Served, tmp_path: Path) -> Iterator[Browser]:
    with open_browser(tmp_path / "profile") as browser:
        browser.open(server.url)
        yield browser


def shown_again(source: Source, browser: Browser) -> None:
    """Wait until the page shows a snapshot that is taken from now on."""
    number = source.number
    wait_for("another snapshot", lambda: source.number > number + 1)
    time_shown = browser.run("return performance.now()")
    assert isinstance(time_shown, int | float)
    wait_for("the page shows it", lambda: float(str(browser.run("return lastChange"))) > time_shown)


def test_an_opened_group_stays_open_when_another_appears_before_it_and_when_a_banner_comes(
    source: Source, browser: Browser
) -> None:
    browser.run("document.querySelector('details[data-key=avro-consumer] summary').click()")
    browser.run("document.querySelector('details[data-key=avro-consumer] summary').focus()")
    first = Group("aaa-first", "Stable")
    source.snapshot = replace(source.snapshot, groups=(first, *source.snapshot.groups), error="broker 2 is silent")
    wait_for("the banner", lambda: "broker 2 is silent" in "".join(browser.texts("#banner")))
    assert browser.texts(".group .title") == ["aaa-first", "avro-consumer", "connect-local-file-sink"]
    assert browser.run(OPEN) == ["avro-consumer"]
    focus = "return document.activeElement.closest('details')?.dataset.key"
    assert browser.run(focus) == "avro-consumer"
    source.snapshot = replace(source.snapshot, groups=source.snapshot.groups[1:], error=None)
    wait_for("the banner goes", lambda: not browser.texts("#banner"))
    assert (browser.run(OPEN), browser.run(focus)) == (["avro-consumer"], "avro-consumer")


def test_a_group_with_an_error_stays_closed_when_the_reader_closes_it(source: Source, browser: Browser) -> None:
    source.snapshot = replace(source.snapshot, groups=(Group("failing", error="Group authorization failed"),))
    wait_for("the group, opened", lambda: browser.run(OPEN) == ["failing"])
    browser.run("document.querySelector('.group summary').click()")
    shown_again(source, browser)
    assert browser.run(OPEN) == []


def test_the_page_calls_itself_live_only_while_new_snapshots_come(source: Source, browser: Browser) -> None:
    wait_for("live", lambda: browser.text("#liveness") == "Live")
    source.paused = True
    wait_for("waiting", lambda: browser.text("#liveness") == "Waiting", 10)
    source.paused = False
    wait_for("live again", lambda: browser.text("#liveness") == "Live", 10)


def test_a_server_that_is_gone_is_not_live_and_after_its_restart_the_page_is_pushed_again(
    server: Served, browser: Browser
) -> None:
    wait_for("live", lambda: browser.text("#liveness") == "Live")
    server.stop()
    wait_for("waiting", lambda: browser.text("#liveness") == "Waiting", 20)
    wait_for("the banner", lambda: "does not answer" in browser.text("#gone"), 20)
    server.start()
    wait_for("live again", lambda: browser.text("#liveness") == "Live", 20)
    wait_for("the events", lambda: browser.run("return source.readyState") == 1, 20)
    wait_for("no banner", lambda: browser.run("return document.getElementById('gone').hidden"))


def test_a_page_that_needs_a_token_asks_for_it_and_is_pushed_then(server: Served, browser: Browser) -> None:
    wait_for("live", lambda: browser.text("#liveness") == "Live")
    server.stop()
    server.settings = StatusSettings(token=SecretStr("a-token-of-the-tests"))
    server.start()
    wait_for("the open page asks", lambda: browser.texts("label") == ["Token of this status page"], 20)
    browser.run("document.getElementById('token').value = 'a-token-of-the-tests'; document.forms[0].requestSubmit()")
    wait_for("live again", lambda: browser.texts("#liveness") == ["Live"], 20)
    assert browser.driver.current_url == f"{server.url}/"
    wait_for("the events", lambda: browser.run("return source.readyState") == 1, 20)


def test_the_page_asks_once_for_each_event_and_not_by_itself(source: Source, browser: Browser) -> None:
    wait_for("the events", lambda: browser.run("return source.readyState") == 1)
    before, number = len(lives(browser)), source.number
    wait_for("five snapshots", lambda: source.number >= number + 5)
    shown_again(source, browser)
    assert len(lives(browser)) - before <= source.number - number + 1
    assert sum(url.endswith("/api/v1/events") for url in browser.requests()) == 1
    assert browser.complaints() == []


def lives(browser: Browser) -> list[str]:
    return [url for url in browser.requests() if url.endswith("/live")]


def scaled(members: dict[str, tuple[int, ...]]) -> Group:
    (first, _) = a_snapshot().groups[:2]
    return replace(
        first,
        members=tuple(
            GroupMember(f"id-{name}", name, "h", assignment=tuple(("news", number) for number in numbers))
            for name, numbers in members.items()
        ),
    )


def bands(browser: Browser) -> list[list[str]]:
    """The partition and the owner of each band."""
    shown = browser.run(BANDS)
    assert isinstance(shown, list)
    return shown


BANDS = "return [...document.querySelectorAll('.band')].map(band => [band.dataset.partition, band.dataset.owner])"


def test_a_lane_for_each_partition_moves_with_a_scale_up_and_says_so_in_words(source: Source, browser: Browser) -> None:
    other = source.snapshot.groups[1]
    source.snapshot = replace(source.snapshot, groups=(scaled({"one": (0, 1)}), other))
    lanes = [["news[0]", "one"], ["news[1]", "one"], ["news[2]", ""]]
    wait_for("the lanes", lambda: all(band in bands(browser) for band in lanes))
    source.paused = True
    moment = datetime.now(UTC)
    event = Rebalance(1, "avro-consumer", moment, moment, joined=("id-two",), members={"id-two": "two"})
    groups = (scaled({"one": (0,), "two": (1, 2)}), other)
    source.snapshot = replace(source.snapshot, groups=groups, rebalances=(event,))
    source.take()
    wait_for("the new owner", lambda: ["news[1]", "two"] in bands(browser), 10)
    assert browser.run("return document.querySelector('.generation-name').textContent") == "#1"
    assert browser.texts("#lanes-owners li")[-3:] == ["one", "two", "nobody"]
    colours = browser.run(
        "return ['one', 'two'].map(name => getComputedStyle(document.querySelector(`[data-owner=${name}]`)).fill)"
    )
    assert isinstance(colours, list)
    assert len(set(colours)) == 2
    browser.run("document.querySelector('#lanes details').open = true")
    (line,) = [text for text in browser.texts("#lanes-text li") if text.startswith("news[1]")]
    assert re.search(r"one from [\d:]+ for [\d.]+ s, then two from [\d:]+ until now$", line)
    assert "two joined" in browser.text("#rebalances table")
    assert browser.complaints() == []


def test_the_lanes_pause_and_go_back_in_time(source: Source, browser: Browser) -> None:
    span = "return document.getElementById('lanes-span').textContent"
    wait_for("the lanes", lambda: "UTC" in str(browser.run(span)))
    browser.run("document.getElementById('lanes-pause').click()")
    paused = browser.run(span)
    assert str(paused).endswith("paused")
    shown_again(source, browser)
    assert browser.run(span) == paused
    scrub = "const bar = document.getElementById('lanes-scrub'); bar.value = 300; "
    browser.run(scrub + "bar.dispatchEvent(new Event('input', {bubbles: true}))")
    assert browser.run(span) != paused
    browser.run("document.getElementById('lanes-pause').click()")
    wait_for("it goes on", lambda: browser.run(span) != paused and "paused" not in str(browser.run(span)))


def test_stop_words_go_by_a_switch_that_stays(source: Source, browser: Browser) -> None:
    words = (("the", 9), ("kafka", 5), ("of", 3))
    source.snapshot = replace(source.snapshot, tables=replace(source.snapshot.tables, top_words=words))
    shown = (
        "return [...document.querySelectorAll('.bars li')].filter(row => row.offsetParent).map(row => row.innerText)"
    )

    def first_words() -> list[str]:
        rows = browser.run(shown)
        assert isinstance(rows, list)
        return [str(row).split()[0] for row in rows]

    wait_for("all words", lambda: first_words() == ["the", "kafka", "of"])
    browser.run("document.getElementById('telling').click()")
    assert first_words() == ["kafka"]
    shown_again(source, browser)
    assert first_words() == ["kafka"]
    browser.driver.refresh()
    wait_for("the same after a reload", lambda: first_words() == ["kafka"])


@pytest.mark.parametrize("path", ["/", "/topics/news"])
def test_nothing_is_wider_than_a_narrow_phone(server: Served, browser: Browser, path: str) -> None:
    # Chromium has no window so narrow: it shows the page as a phone does.
    metrics = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.driver.get(f"{server.url}{path}")
    wait_for("live", lambda: browser.text("#liveness") == "Live")
    assert browser.run("return [innerWidth, document.documentElement.scrollWidth]") == [360, 360]


def test_a_term_explains_itself_to_the_keyboard_and_the_screen_reader(browser: Browser) -> None:
    browser.run("document.querySelector('#groups h2 .term').focus()")
    content = "getComputedStyle(document.activeElement, '::after').content"
    assert "share the partitions" in str(browser.run(f"return {content}"))
    described = "document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent"
    assert "share the partitions" in str(browser.run(f"return {described}"))


def test_records_that_cannot_be_shown_say_why_and_the_button_works_again(
    server: Served, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.open(f"{server.url}/topics/news")
    reader = server.app.extensions["records"]
    monkeypatch.setattr(reader, "last", lambda *_: abort(503, "Another reader looks at records."))
    press, said = "document.getElementById('show-records').click()", "#record-failure"
    browser.run(press)
    wait_for("the service's reason", lambda: browser.text(said) == "Another reader looks at records.")
    monkeypatch.setattr(reader, "last", lambda *_: ([], False))
    browser.run(press)
    wait_for("what may be missing", lambda: "records may be missing" in browser.text(said))
    server.stop()
    browser.run(press)
    wait_for("that nobody answers", lambda: "does not answer" in browser.text(said))
    assert not browser.run("return document.getElementById('show-records').disabled")


def test_the_page_of_a_topic_follows_its_topic(source: Source, server: Served, browser: Browser) -> None:
    browser.open(f"{server.url}/topics/news")
    assert browser.texts("#partitions tbody th") == [str(number) for number in range(6)]
    assert browser.text("#partitions tbody tr:first-child td:nth-child(2)") == "broker 1"
    source.snapshot = replace(source.snapshot, topics=(*source.snapshot.topics[:2], a_topic("news", [1, 2])))
    wait_for("two partitions are left", lambda: browser.texts("#partitions tbody th") == ["0", "1"])
    assert browser.complaints() == []
