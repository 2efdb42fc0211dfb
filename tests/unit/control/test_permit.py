"""A permit lasts from before the request that renewed it, and no longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from seawall.control.permit import PERMIT_RENEWAL_S, PERMIT_S, SendPermit
from seawall.primitives.ports import Clock


@dataclass(slots=True)
class HandClock:
    at_s: float = 100.0

    def monotonic_s(self) -> float:
        return self.at_s


def permit_at(clock: HandClock) -> SendPermit:
    return SendPermit(cast(Clock, clock))


def test_nothing_may_be_sent_before_the_first_renewal() -> None:
    assert not permit_at(HandClock()).valid()


def test_permit_counts_from_before_the_request() -> None:
    clock = HandClock()
    permit = permit_at(clock)
    clock.at_s += 1.5  # the answer took this long
    permit.renew(100.0)
    assert permit.left_s == PERMIT_S - 1.5
    clock.at_s = 100.0 + PERMIT_S
    assert not permit.valid()


def test_answers_out_of_order_never_shorten_it() -> None:
    clock = HandClock()
    permit = permit_at(clock)
    permit.renew(101.0)
    permit.renew(100.0)
    clock.at_s = 100.5 + PERMIT_S
    assert permit.valid()


def test_revoked_permit_is_over_at_once() -> None:
    clock = HandClock()
    permit = permit_at(clock)
    permit.renew(100.0)
    permit.revoke()
    assert not permit.valid()


def test_several_renewals_fit_into_one_permit() -> None:
    assert PERMIT_RENEWAL_S * 3 < PERMIT_S
