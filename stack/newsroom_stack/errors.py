"""Errors of the stack."""

from __future__ import annotations


class StackError(Exception):
    """Base of every error of the stack. Its text says what failed and what to do."""


class ArtifactsUnavailable(StackError):
    """The cache does not have Kafka or the registry, and they cannot be downloaded."""
