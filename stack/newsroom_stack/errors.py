"""What can go wrong with a stack."""

from __future__ import annotations


class StackError(Exception):
    """Base of every error of the stack; `str()` is one clear message for the reader: what failed, what to do."""


class ArtifactsUnavailable(StackError):
    """Kafka or the registry is not in the cache and cannot be downloaded."""
