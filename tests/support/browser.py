"""A real browser: Debian's Chromium, headless, driven by Selenium without any download."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from support.tools import need

PAGE_SECONDS = 30
LOCAL_SCHEMES = frozenset({"about", "blob", "chrome", "chrome-untrusted", "data", "devtools"})
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root, where Chromium has no sandbox
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have little of it
    # Nothing but the page under test may use the network.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """A page as its reader has it."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self._requests: list[str] = []

    def open(self, url: str, *, width: int = 1280, height: int = 1000) -> None:
        """Load a page in a window of this size."""
        self.driver.set_window_size(width, height)
        self.driver.get(url)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that match, as they are shown.

        One script, because between two commands the page may replace an element.
        """
        script = "return [...document.querySelectorAll(arguments[0])].map(element => element.innerText)"
        texts: list[str] = self.driver.execute_script(script, selector)
        return texts

    def text(self, selector: str) -> str:
        """The text of the only element that matches."""
        (text,) = self.texts(selector)
        return text

    def number(self, selector: str) -> int | None:
        """The figure in an element: its digits; None for a dash."""
        digits = "".join(character for character in self.text(selector) if character.isdigit())
        return int(digits) if digits else None

    def run(self, script: str) -> object:
        """What a script returns."""
        result: object = self.driver.execute_script(script)
        return result

    def complaints(self) -> list[str]:
        """What the console has had to say since the last call, warnings included."""
        return [entry["message"] for entry in self._log("browser")]

    def _log(self, name: str) -> list[dict[str, str]]:
        entries: list[dict[str, str]] = self.driver.get_log(name)  # type: ignore[no-untyped-call]
        return entries

    def requests(self) -> list[str]:
        """The addresses the page has asked for so far."""
        for entry in self._log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                self._requests.append(event["params"]["request"]["url"])
        return self._requests

    def hosts(self) -> set[str | None]:
        """The hosts that were asked over the network so far; the browser's own start page is no host."""
        addresses = [urlsplit(url) for url in self.requests()]
        return {address.hostname for address in addresses if address.scheme not in LOCAL_SCHEMES}


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """A browser with a fresh profile. Skips or fails (see `need`) when the machine has none."""
    options = ChromeOptions()
    options.binary_location = need("chromium", "chromium")
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(executable_path=need("chromedriver", "chromium-driver")))
    driver.set_page_load_timeout(PAGE_SECONDS)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
