"""The stores, all on one connection: what a piece of work is given."""

from __future__ import annotations

from seawall.ledger.attempts import Attempts
from seawall.ledger.commitments import Commitments
from seawall.ledger.controls import Controls
from seawall.ledger.events import Events
from seawall.ledger.heads import Heads
from seawall.ledger.inclusions import Inclusions
from seawall.ledger.intents import IntentIds, Intents
from seawall.ledger.kernels import Kernels
from seawall.ledger.key_changes import KeyChanges
from seawall.ledger.lanes import Lanes
from seawall.ledger.logs import LogStore
from seawall.ledger.postings import Postings, Reservations
from seawall.ledger.routes import AttemptRoutes
from seawall.ledger.safes import Safes
from seawall.ledger.segments import Segments
from seawall.ledger.session import Session
from seawall.ledger.slots import Slots
from seawall.ledger.spends import Spends
from seawall.ledger.strategies import States, Timers
from seawall.ledger.verdicts import Verdicts

__all__ = ["Transaction"]


class Transaction:
    """Use it only inside the work it was given to; afterwards its stores refuse."""

    __slots__ = (
        "attempts",
        "commitments",
        "controls",
        "events",
        "heads",
        "inclusions",
        "intents",
        "kernels",
        "key_changes",
        "lanes",
        "logs",
        "postings",
        "reservations",
        "routes",
        "safes",
        "segments",
        "slots",
        "spends",
        "states",
        "timers",
        "verdicts",
    )

    def __init__(self, session: Session, ids: IntentIds) -> None:
        self.intents = Intents(session, ids)
        self.kernels = Kernels(session)
        self.key_changes = KeyChanges(session)
        self.lanes = Lanes(session)
        self.slots = Slots(session)
        self.attempts = Attempts(session)
        self.verdicts = Verdicts(session)
        self.inclusions = Inclusions(session)
        self.postings = Postings(session)
        self.reservations = Reservations(session)
        self.routes = AttemptRoutes(session)
        self.safes = Safes(session)
        self.segments = Segments(session)
        self.spends = Spends(session)
        self.states = States(session)
        self.timers = Timers(session)
        self.controls = Controls(session)
        self.heads = Heads(session)
        self.logs = LogStore(session)
        self.events = Events(session)
        self.commitments = Commitments(session, self.events)
