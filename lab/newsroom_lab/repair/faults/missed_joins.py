"""A producer that places keys as no other client does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.repair.client import PRODUCTS
from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

STOCK = "repair-stock"
PRICES = "repair-prices"
PROGRAM = "pricing"
PARTITIONS = 6


def break_(site: Site) -> None:
    """Fill a topic as Java would, and start a producer that places the same keys with librdkafka's own partitioner."""
    site.topic(STOCK, PARTITIONS)
    site.topic(PRICES, PARTITIONS)
    site.send(STOCK, [(f"product-{number}", "in stock") for number in range(PRODUCTS)])
    site.program(
        PROGRAM,
        (
            "partitioner=consistent_random",
            "linger.ms=5",
            f"work.topic={PRICES}",
            "work.source=prices",
            f"work.rate={PRODUCTS}",
        ),
    )
    site.coming(PRICES, 1)


def check(site: Site) -> Seen:
    """Join the prices of two seconds with the stock, partition by partition."""
    stock = {record.key: record.partition for record in site.observer.read(STOCK)}
    joined: list[int] = []

    def all_joined() -> bool:
        homes: dict[bytes | None, set[int]] = {key: set() for key in stock}
        for record in site.coming(PRICES, 2 * PRODUCTS):
            homes[record.key].add(record.partition)
        joined.append(sum(homes[key] == {place} for key, place in stock.items()))
        return joined[-1] == len(stock)

    works = site.sees("every product is joined", all_joined, 15)
    return Seen(works, f"{joined[-1] if joined else 0} of {len(stock)} products have their price beside their stock")


FAULT = Fault(
    number=9,
    symptom=f"A join of {STOCK} and {PRICES} finds a few products only. Both topics have all products, with the same "
    f"keys and the same number of partitions, and no program fails. The producer of {PRICES} takes its settings from "
    "{home}/repair/pricing.properties, and starts anew when they change.",
    set=break_,
    check=check,
    hints=(
        f"'newsroom peek' shows the partition of each record: find one product in {STOCK} and in {PRICES}.",
        "A join reads partition 3 of one topic beside partition 3 of the other. Who decides where a key goes?",
        (
            "The producer does, with the setting 'partitioner'. Java's clients use murmur2; librdkafka has the same as "
            "murmur2_random."
        ),
    ),
    cause="The client computes a key's partition. This one hashed with CRC32, librdkafka's default, and the writer of "
    "the stock with murmur2 as Java does; so most products lay on different partitions of the two topics.",
    solution=("sed -i.bak 's/^partitioner=.*/partitioner=murmur2_random/' {home}/repair/pricing.properties",),
)
