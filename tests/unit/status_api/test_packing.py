"""A text that is kept compressed comes out as it went in, alone and with another one behind it."""

import gzip

import pytest

from status_api.packing import EMPTY, gzipped, pack, unpacked
from unit.status_api.fakes import Site


@pytest.mark.parametrize("parts", [[], [b"a"], [b"first\n" * 100_000, b"", b"second\n" * 50_000]])
@pytest.mark.parametrize("end", [b"", b"the end\n"])
def test_a_text_comes_out_as_it_went_in(parts: list[bytes], end: bytes) -> None:
    packed = pack(parts)
    assert unpacked(packed) == b"".join(parts)
    assert gzip.decompress(gzipped(packed, end)) == b"".join(parts) + end
    assert len(packed) < 20_000


def test_metrics_are_the_same_with_gzip_and_without(live_site: Site) -> None:
    plain = live_site.client.get("/metrics")
    small = live_site.client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in small.headers["Vary"]
    text = gzip.decompress(small.data)
    assert text.count(b"\nkafka_") == plain.data.count(b"\nkafka_") > 100
    assert text.splitlines()[:200] == plain.data.splitlines()[:200]
    refused = live_site.client.get("/metrics", headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refused.headers


def test_metrics_come_compressed_before_the_first_snapshot(site: Site) -> None:
    assert unpacked(EMPTY) == b""
    small = site.client.get("/metrics", headers={"Accept-Encoding": "gzip"})
    assert b"newsroom_status_up 0.0" in gzip.decompress(small.data)


@pytest.mark.parametrize("path", ["/", "/live", "/static/page.css", "/static/page.js", "/api/v1/groups"])
def test_long_answers_are_the_same_with_gzip_and_without(live_site: Site, path: str) -> None:
    plain = live_site.client.get(path, buffered=True)
    small = live_site.client.get(path, headers={"Accept-Encoding": "gzip"}, buffered=True)
    assert gzip.decompress(small.data) == plain.data
    assert 2 * len(small.data) < len(plain.data) == int(plain.headers["Content-Length"])
    assert (small.headers["Content-Encoding"], small.headers["Vary"]) == ("gzip", "Accept-Encoding")
    known = {"Accept-Encoding": "gzip", "If-None-Match": small.headers["ETag"]}
    again = live_site.client.get(path, headers=known, buffered=True)
    assert (again.status_code, again.data) == (304, b"")


def test_short_answers_and_parts_of_files_stay_as_they_are(live_site: Site) -> None:
    headers = {"Accept-Encoding": "gzip"}
    assert b"ok" in live_site.client.get("/livez", headers=headers).data
    part = live_site.client.get("/static/page.css", headers=headers | {"Range": "bytes=0-1999"}, buffered=True)
    assert (part.status_code, len(part.data), "Content-Encoding" in part.headers) == (206, 2000, False)


def test_the_whole_page_is_sent_in_50_kilobytes(live_site: Site) -> None:
    paths = ["/", *(f"/static/{name}" for name in ("page.css", "page.js", "lanes.js", "icon.svg"))]
    headers = {"Accept-Encoding": "gzip"}
    sent = [live_site.client.get(path, headers=headers, buffered=True).data for path in paths]
    assert sum(map(len, sent)) < 50_000
