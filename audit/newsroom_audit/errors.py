"""Why an audit could not be made. A defect of the pipeline is not an error but a finding."""

from __future__ import annotations

from newsroom.errors import NewsroomError


class AuditError(NewsroomError):
    """The audit could not read what it judges, or was asked in a way that it does not understand."""

    exit_code = 2
