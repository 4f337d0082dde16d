"""A group whose offsets were set beyond what it has read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

ORDERS = "repair-orders"
MAILS = "repair-mails"
GROUP = "repair-mailer"
RECORDS, SENT = 42, 12


def break_(site: Site) -> None:
    """Let twelve orders have their mail, and set the group behind the last one."""
    site.topic(ORDERS)
    site.topic(MAILS)
    orders = [(None, f"order {number}") for number in range(RECORDS)]
    site.send(ORDERS, orders)
    site.send(MAILS, orders[:SENT])
    site.commit(GROUP, ORDERS, RECORDS)


def check(site: Site) -> Seen:
    """Run the mailer once, and look for orders without mail."""
    site.send(MAILS, [(None, order) for order in site.read_as(GROUP, ORDERS)])
    orders, mails = site.visible(ORDERS), site.visible(MAILS)
    missing = len(set(orders) - set(mails))
    more = len(mails) - len(set(mails))
    twice = f"; {more} mails were sent again" if more else ""
    return Seen(not missing, f"the mailer ran once: {missing} of {len(orders)} orders have no mail{twice}")


FAULT = Fault(
    number=8,
    symptom=f"The mailer, group {GROUP}, runs once an hour and says that it has nothing to do: its lag is 0. But "
    f"{MAILS} has a mail for the first {SENT} of {RECORDS} orders in {ORDERS} only.",
    set=break_,
    check=check,
    hints=(
        f"'newsroom groups describe {GROUP}' shows where the group is in {ORDERS}.",
        (
            "Lag is the end minus the committed offset, and a committed offset says where to go on. Nobody looks "
            "whether what lies before it was read."
        ),
        f"Set the group to the first order without mail: 'newsroom groups reset {GROUP} --to OFFSET --execute'.",
    ),
    cause="Somebody had reset the group to the end of the topic. Everything between counts as read: the lag is 0, and "
    "no program fails.",
    solution=(f"newsroom groups reset {GROUP} --to {SENT} --execute",),
    quick=True,
)
