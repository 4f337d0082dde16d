"""The page's script in a real browser, over snapshots that the test makes: no cluster is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from werkzeug.serving import BaseWSGIServer, make_server

from newsroom.health import Health
from status_api.app import create_app
from status_api.model import Group, Snapshot
from status_api.settings import StatusSettings
from status_api.store import SnapshotStore
from support.browser import Browser, open_browser
from support.waiting import wait_for
from unit.status_api.fakes import a_snapshot

pytestmark = pytest.mark.timeout(240)

OPEN = "return [...document.querySelectorAll('details[open]')].map(group => group.dataset.key)"


@dataclass
class Source:
    """Takes a snapshot each second, as the collector does, until it is told to stop."""

    store: SnapshotStore = field(default_factory=lambda: SnapshotStore(1.0))
    snapshot: Snapshot = field(default_factory=lambda: replace(a_snapshot(), groups=a_snapshot().groups[:2]))
    paused: bool = False
    number: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while True:
            if not self.paused:
                self.number += 1
                self.store.succeeded(replace(self.snapshot, id=f"boot-{self.number}"))
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
def server(source: Source) -> Iterator[BaseWSGIServer]:
    server = make_server("127.0.0.1", 0, create_app(source.store, Health(), StatusSettings()), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def browser(server: BaseWSGIServer, tmp_path: Path) -> Iterator[Browser]:
    with open_browser(tmp_path / "profile") as browser:
        browser.open(f"http://127.0.0.1:{server.server_port}")
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
    browser.run("document.querySelector('summary').click()")
    shown_again(source, browser)
    assert browser.run(OPEN) == []


def test_the_page_calls_itself_live_only_while_new_snapshots_come(source: Source, browser: Browser) -> None:
    wait_for("live", lambda: browser.text("#liveness") == "Live")
    source.paused = True
    wait_for("waiting", lambda: browser.text("#liveness") == "Waiting", 10)
    source.paused = False
    wait_for("live again", lambda: browser.text("#liveness") == "Live", 10)


def test_a_server_that_is_gone_is_not_live(server: BaseWSGIServer, browser: Browser) -> None:
    wait_for("live", lambda: browser.text("#liveness") == "Live")
    server.shutdown()
    stopped = time.monotonic()
    wait_for("waiting", lambda: browser.text("#liveness") == "Waiting", 20)
    assert time.monotonic() - stopped < 15
    wait_for("the banner", lambda: "does not answer" in browser.text("#gone"), 20)
