"""Whoever names a right takes back that one, whatever others pretend to be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import pytest

from seawall.cli import approvals as commands
from seawall.primitives.errors import InputError
from seawall.primitives.units import Address
from seawall.protocols.approvals import Candidate, Grant, GrantKind
from seawall.runtime import approvals

KEY, TOKEN, TRAP = Address(b"\x01" * 20), Address(b"\x02" * 20), Address(b"\x03" * 20)
ID_BITS_MIN = 80


def allowance(contract: Address) -> Grant:
    return Grant(Candidate(GrantKind.ALLOWANCE, contract, KEY, Address(b"\x09" * 20)), 1)


def test_name_of_a_right_is_too_long_to_be_met_by_search() -> None:
    """Anybody may log an approval in our name, with a spender that was searched for until the names agree."""
    assert 4 * len(approvals.grant_id(allowance(TOKEN))) >= ID_BITS_MIN


def test_name_that_two_rights_share_revokes_neither() -> None:
    found = SimpleNamespace(grants=(allowance(TOKEN), allowance(TRAP)), block=SimpleNamespace(number=7))
    scene = cast(Any, SimpleNamespace(found=found))
    with (
        patch.object(approvals, "grant_id", lambda _: "aa"),
        pytest.raises(InputError, match="several"),
    ):
        commands._chosen(scene, ["aa"], everything=False)
