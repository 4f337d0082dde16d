"""The checks of faults that a mock cluster can have: they fail by what they see, and pass when it has changed."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from newsroom_lab.repair.client import PRODUCTS, orders
from newsroom_lab.repair.faults import hot_partition, missed_joins, skipped_records
from newsroom_lab.repair.memory import Memory
from newsroom_lab.repair.site import Site
from newsroom_lab.sending import send
from newsroom_stack.settings import StackSettings
from support.cluster import MockCluster


@pytest.fixture
def site(cluster: MockCluster, tmp_path: Path) -> Site:
    ports = SimpleNamespace(bootstrap=cluster.address)
    stack = SimpleNamespace(ports=ports, settings=StackSettings(home=tmp_path))
    return Site(cast("Any", stack), Memory("x"))


def test_the_mailer_skips_orders_until_its_group_is_set_back(site: Site, cluster: MockCluster) -> None:
    values = [f"order {number}" for number in range(42)]
    for topic, wanted in ((skipped_records.ORDERS, values), (skipped_records.MAILS, values[:12])):
        for value in wanted:
            cluster.send(topic, [(None, value.encode())], partition=0)
    site.commit(skipped_records.GROUP, skipped_records.ORDERS, 42)
    assert skipped_records.check(site).what == "the mailer ran once: 30 of 42 orders have no mail"
    site.commit(skipped_records.GROUP, skipped_records.ORDERS, 12)
    finding = skipped_records.check(site)
    assert (finding.works, finding.what) == (True, "the mailer ran once: 0 of 42 orders have no mail")
    site.commit(skipped_records.GROUP, skipped_records.ORDERS, 0)
    assert skipped_records.check(site).what.endswith("42 mails were sent again")


@pytest.mark.parametrize(("key", "works"), [("order", True), ("country", False), ("step", False)])
def test_orders_are_spread_and_each_one_stays_together(
    site: Site, cluster: MockCluster, key: str, *, works: bool
) -> None:
    send(cluster.address, hot_partition.TOPIC, [("x", "not counted")] * 50, 0, {})
    since = site.observer.end_offsets(hot_partition.TOPIC)
    send(cluster.address, hot_partition.TOPIC, (orders({"work.key": key}, number) for number in range(600)), 0, {})
    site.coming = lambda topic, *_: site.observer.read(topic, since)  # type: ignore[method-assign]
    finding = hot_partition.check(site)
    assert finding.works is works, finding.what
    assert ("and 200 of 200 orders are on more" in finding.what) == (key == "step"), finding.what


@pytest.mark.parametrize(("partitioner", "works"), [("murmur2_random", True), ("consistent_random", False)])
def test_prices_join_the_stock_that_lies_beside_them(
    site: Site, cluster: MockCluster, monkeypatch: pytest.MonkeyPatch, partitioner: str, *, works: bool
) -> None:
    keys = [f"product-{number}" for number in range(PRODUCTS)]
    send(cluster.address, missed_joins.STOCK, [(key, "in stock") for key in keys], 0, {})
    send(cluster.address, missed_joins.PRICES, [(key, "1") for key in keys], 0, {"partitioner": partitioner})
    site.coming = lambda topic, *_: site.observer.read(topic)  # type: ignore[method-assign]
    monkeypatch.setattr(site, "sees", lambda _, question, __: question())
    finding = missed_joins.check(site)
    assert finding.works is works, finding.what
    joined = int(finding.what.split()[0])
    assert (joined == PRODUCTS) is works
