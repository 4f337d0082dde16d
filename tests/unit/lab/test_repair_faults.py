"""What holds for every fault, before one is set."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from newsroom_lab.cli import main
from newsroom_lab.repair.client import PRODUCTS, SOURCES, orders, prices, read_settings
from newsroom_lab.repair.fault import Fault, UnknownFault, fault_of, faults
from newsroom_lab.repair.site import GO
from newsroom_stack.ports import Ports

EVERY = pytest.mark.parametrize("fault", faults().values(), ids=list(faults()))
PAGE = Path(__file__).parents[3] / "docs" / "lab-repair.md"
PORTS = Ports(0)
PLACES = {"home": ".newsroom", "connect": f"http://localhost:{PORTS.connect}", "registry": PORTS.registry_url}

CAUSES: tuple[str, ...] = (
    "pause",
    "converter",
    "insync",
    "transaction",
    "max.poll",
    "key",
    "retention",
    "reset",
    "partitioner",
)
CAUSES += ("compatib", "static", "instance.id", "max.message")


def test_there_are_twelve_faults_and_two_of_them_are_quick() -> None:
    assert [fault.number for fault in faults().values()] == list(range(1, 13))
    assert [name for name, fault in faults().items() if fault.quick] == ["waiting-readers", "skipped-records"]


@EVERY
def test_name_and_symptom_do_not_give_the_cause_away(fault: Fault) -> None:
    text = f"{fault.name} {fault.symptom}".lower()
    # That both topics have the same keys is what the operator has checked, and not the cause.
    named = [cause for cause in CAUSES if cause in text]
    assert named == (["key"] if fault.name == "missed-joins" else [])


@EVERY
def test_the_page_has_the_symptom_the_cause_and_the_solution(fault: Fault) -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    for text in (fault.symptom.format(**PLACES), fault.cause, *(line.format(**PLACES) for line in fault.solution)):
        assert " ".join(text.split()) in page
    for hint in fault.hints:
        assert hint.format(**PLACES)


def test_a_fault_is_known_by_name_and_by_number() -> None:
    assert fault_of("hot-partition") is fault_of("6")
    with pytest.raises(UnknownFault, match=r"no fault 'hot_partition': hot-partition .* lists the symptoms"):
        fault_of("hot_partition")


def test_settings_are_lines_of_name_and_value() -> None:
    assert read_settings("# a remark\ngroup.id = packers\n\nwork.batch=16\nempty=\n") == {
        "group.id": "packers",
        "work.batch": "16",
        "empty": "",
    }
    with pytest.raises(ValueError, match=r"'group\.id' is not a line of name=value"):
        read_settings("group.id\n")


def test_nine_of_ten_orders_have_one_country_and_three_events_one_order() -> None:
    countries = Counter(orders({"work.key": "country"}, number)[0] for number in range(300))
    assert countries["de"] == 270
    assert Counter(Counter(orders({"work.key": "order"}, number)[0] for number in range(300)).values()) == {3: 100}


def test_every_product_gets_a_price_in_turn() -> None:
    assert len({prices({}, number)[0] for number in range(PRODUCTS)}) == PRODUCTS
    assert set(SOURCES) == {"orders", "prices"}


@pytest.mark.parametrize(("word", "output"), [(b"go\n", b"ran\n"), (b"", b"")])
def test_a_program_runs_when_it_is_noted_and_ends_when_its_starter_is_gone(word: bytes, output: bytes) -> None:
    command = ["sh", "-c", GO, "sh", sys.executable, "-c", "print('ran')"]
    done = subprocess.run(command, input=word, stdout=subprocess.PIPE, timeout=20, check=False)
    assert (done.stdout, done.returncode == 0) == (output, bool(word))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEWSROOM_HOME", str(tmp_path))
    monkeypatch.delenv("NEWSROOM_DOCKER", raising=False)
    return tmp_path


def test_break_without_a_name_lists_the_symptoms(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["break"]) == 0
    output = capsys.readouterr().out
    assert [name for name in faults() if name not in output] == []
    assert str(home) in output.replace("\n", "")
    assert "{" not in output


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["break", "1"], "no stack runs"),
        (["break", "never"], "there is no fault 'never'"),
        (["check"], "no stack runs"),
        (["hint"], "no fault is set"),
    ],
)
def test_what_cannot_be_done_is_said(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    assert main(command) == 1
    assert message in capsys.readouterr().err
    assert list(home.iterdir()) == []


def test_heal_without_a_fault_is_no_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["heal"]) == 0
    assert "nothing to heal" in capsys.readouterr().out
    assert list(home.iterdir()) == []
