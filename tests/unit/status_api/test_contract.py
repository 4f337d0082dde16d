"""Schemathesis asks each path for what the description allows and for what it does not, and judges the answers."""

from typing import Any

import schemathesis
from hypothesis import settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import positive_data_acceptance

from status_api.settings import StatusSettings
from unit.status_api.fakes import Site, a_snapshot

SITE = Site(settings=StatusSettings(rate=0))
SITE.store.succeeded(a_snapshot())
EXAMPLES = 60

# Events do not end, and only the server's own worker sends them.
schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", SITE.app).exclude(path="/events")


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
def test_the_api_keeps_its_description(case: Case[Any]) -> None:
    # A cursor is whatever an earlier answer gave, which no description can say.
    invented = "cursor" in case.query
    case.call_and_validate(
        headers={"Accept-Encoding": "identity"}, excluded_checks=[positive_data_acceptance] if invented else []
    )
