"""Judges the result of a synchronous commit."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from newsroom.kafka_errors import FENCED, REBALANCING, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import KafkaError


class CommitResult(Enum):
    """What a commit's errors mean for the member."""

    OK = auto()
    """The cluster accepted every offset."""
    REBALANCED = auto()
    """The group rebalances: the new owner of a partition reads its records again."""
    UNREACHABLE = auto()
    """The cluster cannot accept the offsets now: the next commit includes them."""
    FENCED = auto()
    """Another process took the member's identity."""
    REFUSED = auto()
    """The cluster refuses the offsets, and a retry does not change that."""


def classify(errors: Mapping[int, KafkaError]) -> CommitResult:
    """Judge a commit by the errors of its partitions; a partition without an error is not in the mapping."""
    codes = {error.code() for error in errors.values()}
    if not codes:
        return CommitResult.OK
    if codes <= REBALANCING:
        return CommitResult.REBALANCED
    if codes <= REBALANCING | UNREACHABLE or all(error.retriable() for error in errors.values()):
        return CommitResult.UNREACHABLE
    return CommitResult.FENCED if codes & FENCED else CommitResult.REFUSED
