"""The folder of a state is that of its changelog and of no other."""

from pathlib import Path

from newsroom.slots import take_slot
from newsroom.streams.changelog import Changelog, state_folder


def test_it_is_named_as_quix_names_it() -> None:
    assert Changelog("g", ("word-counts", "word")).topic == "changelog__g--word--word-counts--default"


def test_another_changelogs_state_is_never_taken_and_its_own_always(tmp_path: Path) -> None:
    with take_slot(tmp_path) as slot:
        first = state_folder(slot, "first")
        (first / "g").mkdir(parents=True)
        assert state_folder(slot, "first") == first
        assert (first / "g").is_dir()
        second = state_folder(slot, "second")
        assert second != first
        assert not second.exists()
        assert not first.exists()
        assert second.parent == slot.folder


def test_the_state_of_other_replicas_is_left_alone(tmp_path: Path) -> None:
    with take_slot(tmp_path) as mine, take_slot(tmp_path) as other:
        state_folder(other, "old").mkdir()
        state_folder(mine, "new")
        assert (other.folder / "old").is_dir()


def test_the_way_to_rebuild_the_state_is_the_services_own_command_if_it_has_one() -> None:
    assert (
        Changelog("g", ("a", "b"))
        .start_anew()
        .endswith("kafka-consumer-groups --delete-offsets --group g --topic a --topic b")
    )
    assert (
        Changelog("g", ("a",), "newsroom replay x --execute")
        .start_anew()
        .endswith("and run 'newsroom replay x --execute'")
    )
