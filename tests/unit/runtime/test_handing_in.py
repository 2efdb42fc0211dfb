"""Calls handed to a kernel by their effect: said again they are followed, ended ones get another attempt."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.primitives.errors import InputError, RefusedError, UnavailableError
from seawall.primitives.units import Address
from seawall.runtime import handing_in
from seawall.runtime.commands import Answer, Command
from seawall.runtime.handing_in import ATTEMPTS_MAX, PLAN_TTL_S, HandedCall, Hatch

KEY = Address(b"\x01" * 20)
NOW_S = 1_800_000_000


class Kernel:
    """Intents by key, as the socket tells of them; `next_states` are what a look finds, one after another."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.submitted: list[list[dict[str, object]]] = []
        self.next_states: list[str] = []
        self.is_away = False

    def ask(self, path: Path, command: Command) -> Answer | None:
        if self.is_away:
            return None
        return self._submit(command) if command.name == "submit" else self._intent(command)

    def _submit(self, command: Command) -> Answer:
        plans = command.body["plans"]
        assert isinstance(plans, list)
        self.submitted.append(plans)
        for plan in plans:
            self.states[str(plan["idempotency_key"])] = "queued"
        return {"plans": [self._row(str(plan["idempotency_key"])) for plan in plans]}

    def _intent(self, command: Command) -> Answer:
        if "ids" in command.body:
            ids = command.body["ids"]
            assert isinstance(ids, list)
            if self.next_states:
                state = self.next_states.pop(0)
                self.states = dict.fromkeys(self.states, state)
            return {"intents": [self._row(list(self.states)[number - 1]) for number in ids]}
        keys = command.body["idempotency_keys"]
        assert isinstance(keys, list)
        return {"intents": [self._row(key) if key in self.states else None for key in keys]}

    def _row(self, key: str) -> dict[str, object]:
        place = list(self.states).index(key) + 1
        return {
            "id": place,
            "status": self.states[key],
            "reason": "why" if self.states[key] == "refused" else None,
        }


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(handing_in, "ask", made.ask)
    return made


@pytest.fixture
def hatch(tmp_path: Path) -> Hatch:
    return Hatch(tmp_path / "socket", "desk", "tester", now_s=lambda: NOW_S, wait_s=lambda _: None)


def call(key: str = "revoke", size: int = 4) -> HandedCall:
    return HandedCall(key, KEY, KEY, b"\x01" * size, "a call")


def test_call_said_again_is_followed_and_not_doubled(kernel: Kernel, hatch: Hatch) -> None:
    (first,), (again,) = hatch.hand_in([call()]), hatch.hand_in([call()])
    assert first.intent == again.intent
    assert len(kernel.submitted) == 1
    ((plan,),) = kernel.submitted
    assert (plan["idempotency_key"], plan["deadline_s"]) == ("revoke#1", NOW_S + PLAN_TTL_S)


@pytest.mark.parametrize("ended", ["landed", "refused", "expired"])
def test_effect_wanted_again_after_an_end_is_another_attempt(
    kernel: Kernel, hatch: Hatch, ended: str
) -> None:
    kernel.states["revoke#1"] = ended
    hatch.hand_in([call()])
    assert list(kernel.states) == ["revoke#1", "revoke#2"]


def test_attempts_are_bounded(kernel: Kernel, hatch: Hatch) -> None:
    kernel.states = {f"revoke#{number}": "refused" for number in range(1, ATTEMPTS_MAX + 1)}
    with pytest.raises(RefusedError, match="attempts have ended"):
        hatch.hand_in([call()])


def test_large_calls_are_spread_over_several_submissions_in_order(kernel: Kernel, hatch: Hatch) -> None:
    calls = [call(str(number), 60_000) for number in range(5)]
    landed = hatch.hand_in(calls)
    assert [len(plans) for plans in kernel.submitted] == [2, 2, 1]
    assert [one.call for one in landed] == calls


def test_following_ends_when_all_have_landed(kernel: Kernel, hatch: Hatch) -> None:
    handed = hatch.hand_in([call("a"), call("b")])
    kernel.next_states = ["queued", "committed", "landed"]
    assert {one.status for one in hatch.follow(handed)} == {"landed"}
    assert hatch.follow(()) == ()


def test_following_names_the_first_that_did_not_land(kernel: Kernel, hatch: Hatch) -> None:
    handed = hatch.hand_in([call()])
    kernel.next_states = ["committed", "refused"]
    with pytest.raises(RefusedError, match=r"a call.*ended refused: why"):
        hatch.follow(handed)


def test_following_does_not_wait_for_ever(kernel: Kernel, hatch: Hatch) -> None:
    with pytest.raises(UnavailableError, match="run the same again"):
        hatch.follow(hatch.hand_in([call()]))


def test_kernel_that_is_away_is_named(kernel: Kernel, hatch: Hatch) -> None:
    kernel.is_away = True
    with pytest.raises(UnavailableError, match="no kernel listens"):
        hatch.hand_in([call()])


def test_no_submitter_for_the_key_is_an_error_of_the_configuration() -> None:
    class Nothing:
        signers = ()
        submitters = ()

    with pytest.raises(InputError, match="no one submitter"):
        handing_in.submitter_for(Nothing(), 1, {KEY}, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'desk' may not use"):
        handing_in.submitter_for(Nothing(), 1, {KEY}, "desk")  # type: ignore[arg-type]
