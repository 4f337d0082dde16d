import pytest

from unit.status_api.fakes import Site, a_snapshot


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def live_site(site: Site) -> Site:
    site.store.succeeded(a_snapshot())
    return site
