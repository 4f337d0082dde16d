"""Settings that both stream services have."""

import pytest

from join_service.settings import JoinSettings
from newsroom.errors import SettingsError
from newsroom.settings import load_settings


@pytest.mark.parametrize("group", ["", " ", "a/b", "a\n", "g" * 151])
def test_a_group_id_that_no_changelog_can_have_is_a_sentence(group: str) -> None:
    with pytest.raises(SettingsError, match="--consumer-group"):
        load_settings(JoinSettings, "join-service", ["--consumer-group", group])


def test_a_group_id_of_a_topics_characters_is_taken() -> None:
    assert load_settings(JoinSettings, "join-service", ["--consumer-group", "a.B_c-1"]).consumer_group == "a.B_c-1"
