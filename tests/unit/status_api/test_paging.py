"""Lists: sorted, filtered, and a page at a time."""

from dataclasses import replace
from typing import Any

import pytest

from status_api.model import Group, GroupPartition
from unit.status_api.fakes import Site, a_snapshot

LAGS = {"a": 5, "b": None, "c": 70, "d": 5, "e": 0, "F": None}


def filled(site: Site, lags: dict[str, int | None], number: int = 1) -> Site:
    groups = (
        Group(name, "Stable" if lag else "Empty", partitions=(GroupPartition("news", 0, 100 - lag, 0, 100),))
        if lag is not None
        else Group(name)
        for name, lag in lags.items()
    )
    site.store.succeeded(replace(a_snapshot(number), groups=tuple(groups)))
    return site


def ids(body: Any) -> str:  # noqa: ANN401 - JSON values
    return "".join(group["id"] for group in body["groups"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "Fabcde"),
        ("?sort=-id", "edcbaF"),
        ("?sort=lag", "eadcFb"),
        ("?sort=-lag", "cdaeFb"),
        ("?q=f", "F"),
        ("?state=Stable", "acd"),
        ("?state=Stable&state=Empty&sort=-lag&limit=2", "cd"),
    ],
)
def test_what_a_list_has_and_in_which_order(site: Site, query: str, expected: str) -> None:
    assert ids(filled(site, LAGS).json(f"/api/v1/groups{query}")) == expected


@pytest.mark.parametrize("sort", ["id", "-id", "lag", "-lag", "time_lag", "state"])
def test_the_pages_add_up_to_the_list(site: Site, sort: str) -> None:
    filled(site, LAGS)
    whole = site.json(f"/api/v1/groups?sort={sort}")
    assert whole["next_cursor"] is None
    pages, cursors = "", [""]
    for _ in range(3):
        body = site.json(f"/api/v1/groups?sort={sort}&limit=2&cursor={cursors[-1]}")
        pages += ids(body)
        cursors.append(body["next_cursor"])
    assert pages == ids(whole)
    assert cursors[-1] is None


def test_a_page_goes_on_where_the_last_one_ended_although_the_list_has_changed(site: Site) -> None:
    filled(site, LAGS)
    first = site.json("/api/v1/groups?sort=-lag&limit=2")
    assert ids(first) == "cd"
    filled(site, {"a": 5, "c": 1, "e": 0, "z": 99}, 2)
    assert ids(site.json(f"/api/v1/groups?sort=-lag&cursor={first['next_cursor']}")) == "ace"


@pytest.mark.parametrize(
    "query",
    [
        "sort=size",
        "sort=lag&sort=id",
        "limit=0",
        "limit=501",
        "cursor=%21",
        "cursor=bnVsbA",
        "sort=member_count&cursor=WyJsYWciLDEsImEiXQ",
    ],
)
def test_a_parameter_that_cannot_be_is_refused(site: Site, query: str) -> None:
    answer = filled(site, LAGS).client.get(f"/api/v1/groups?{query}")
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")


def test_a_cursor_of_another_type_is_refused(site: Site) -> None:
    text = "WyJsYWciLCJ4IiwiYSJd"  # ["lag","x","a"]
    assert filled(site, LAGS).client.get(f"/api/v1/groups?sort=lag&cursor={text}").status_code == 400


def test_bodies_of_made_up_texts_are_not_kept(site: Site) -> None:
    filled(site, LAGS)
    for number in range(50):
        site.client.get(f"/api/v1/groups?q={number}")
        site.client.get(f"/api/v1/topics?sort=name&cursor={number}")
    assert len(site.app.extensions["renderings"]._bodies) == 0


def test_topics_are_listed_the_same_way(live_site: Site) -> None:
    body = live_site.json("/api/v1/topics?q=word&sort=-produced&limit=1")
    assert [topic["name"] for topic in body["topics"]] == ["word-counts"]
    more = live_site.json(f"/api/v1/topics?q=word&sort=-produced&cursor={body['next_cursor']}")
    assert [topic["name"] for topic in more["topics"]] == ["words-joined", "word"]


@pytest.mark.parametrize("query", ["limit=", "limit=2&limit=3"])
def test_a_wrong_limit_is_refused_also_beside_a_body_that_was_made_already(live_site: Site, query: str) -> None:
    for good in ("", "?limit=2"):
        assert live_site.client.get(f"/api/v1/groups{good}").status_code == 200
    assert live_site.client.get(f"/api/v1/groups?{query}").status_code == 400
