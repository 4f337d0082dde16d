"""Secrets in addresses, wherever in a text they stand."""

import pytest

from newsroom.addresses import masked


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("http://user:pw@host/feed", "http://***@host/feed"),
        ("cannot read 'HTTPS://pw@host:81/a?b=c': refused", "cannot read 'HTTPS://***@host:81/a?b=c': refused"),
        ("http://h/?api_key=pw&page=2&Token=pw;sig=pw: no", "http://h/?api_key=***&page=2&Token=***;sig=***: no"),
        ("http://h/?feed=0123456789abcdefABCDEF&q=a+b", "http://h/?feed=***&q=a+b"),
        ("http://h/?tags=a,b, then ftp://u:pw@h.", "http://h/?tags=a,b, then ftp://***@h."),
        ("http://h/a@b?mail=a@b", "http://h/a@b?mail=a@b"),
        ("a file: news.csv, key=1", "a file: news.csv, key=1"),
        ("http://u:p'w@h/?key=p'w", "http://***@h/?key=***"),
    ],
)
def test_secrets_are_masked_and_nothing_else(text: str, without: str) -> None:
    assert masked(text) == without
