"""The status page in a real browser, and its controller against Kafka's own tool."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.browser import Browser, open_browser
from support.pipeline import ProcessPipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

LOOPBACK = {"localhost"}


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with open_browser(tmp_path / "profile") as browser:
        yield browser


def test_the_page_shows_the_pipeline_and_follows_it_without_a_reload(
    pipeline: ProcessPipeline, browser: Browser
) -> None:
    browser.open(pipeline.ports.status_url)
    assert "Live" in browser.text(".statusline")
    browser.run("window.notReloaded = true")
    # Both of the word count's inputs have their arrow.
    content = "getComputedStyle(document.querySelector('.at-wordcount'), side).content"
    assert browser.run(f"return ['::before', '::after'].map(side => {content})") == ['"→"', '"↘"']

    # A snapshot whose leader did not answer in time has a dash, the next one the figure again.
    def figure() -> tuple[int] | None:
        number = browser.number(".at-mytopic .figure")
        return None if number is None else (number,)

    (shown,) = wait_for("a figure, be it zero", figure)
    assert shown <= pipeline.total("mytopic")
    # A word that nothing else sends, often enough to stand among the top words.
    pipeline.send("mytopic", [(None, b" ".join([b"chromium"] * 100))] * 50)
    wait_for("50 more records in mytopic", lambda: (browser.number(".at-mytopic .figure") or 0) >= shown + 50)
    wait_for(
        "the word with its count", lambda: "chromium5000" in ["".join(row.split()) for row in browser.texts(".bars li")]
    )

    assert browser.run("return window.notReloaded")
    assert browser.complaints() == []
    assert browser.hosts() == LOOPBACK
    assert sum(url.endswith("/live") for url in browser.requests()) >= 2


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window(pipeline: ProcessPipeline, browser: Browser, width: int) -> None:
    browser.open(pipeline.ports.status_url, width=width)
    assert browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
