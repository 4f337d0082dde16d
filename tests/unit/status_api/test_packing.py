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
