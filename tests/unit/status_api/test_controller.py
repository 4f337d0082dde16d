"""When the quorum is asked."""

from concurrent.futures import Future

from newsroom.admin.quorum import Quorum
from newsroom.errors import ClusterUnavailable
from newsroom.waiting import Deadline
from status_api.controller import QUORUM_SECONDS, Controller
from support.futures import done
from unit.status_api.fakes import Clock

LEADER, REASON = Quorum(3, 12), ClusterUnavailable("no controller")


def test_the_quorum_is_asked_seldom_and_at_once_when_the_brokers_change_or_it_is_not_known() -> None:
    clock, asked = Clock(), []
    answers: list[Quorum | Exception] = [REASON, LEADER, LEADER, REASON, LEADER]

    def ask() -> Future[Quorum]:
        asked.append(clock.now)
        return done(answers[len(asked) - 1])

    controller = Controller(ask, clock)

    def turn(*brokers: int) -> object:
        controller.start(brokers)
        return controller.result(Deadline(5))

    assert turn(1, 2) == (None, "no controller")
    assert turn(1, 2) == (LEADER, None)
    assert turn(2, 1) == (LEADER, None)
    assert len(asked) == 2
    clock.now += QUORUM_SECONDS
    assert turn(1, 2) == (LEADER, None)
    assert len(asked) == 3
    assert turn(1) == (None, "no controller")
    assert turn(1) == (LEADER, None)
    assert turn(1) == (LEADER, None)
    assert len(asked) == 5
