"""The rule of the three authorities."""

from __future__ import annotations

import pytest

from seawall.control.authority import admits, authority_from_text
from seawall.primitives.errors import InputError
from seawall.primitives.levels import Authority, WriteKind


@pytest.mark.parametrize(
    ("authority", "quiescing", "admitted"),
    [
        (Authority.RUN, False, set(WriteKind)),
        (Authority.RUN, True, set(WriteKind)),
        (Authority.REDUCE_ONLY, False, {WriteKind.REDUCING, WriteKind.HOUSEKEEPING}),
        (Authority.REDUCE_ONLY, True, {WriteKind.REDUCING, WriteKind.HOUSEKEEPING}),
        (Authority.HALT, False, set()),
        (Authority.HALT, True, {WriteKind.HOUSEKEEPING}),
    ],
)
def test_each_authority_admits_its_kinds(
    authority: Authority, quiescing: bool, admitted: set[WriteKind]
) -> None:
    assert {kind for kind in WriteKind if admits(authority, kind, quiescing=quiescing)} == admitted


def test_lower_authority_admits_no_more_than_a_higher_one() -> None:
    for lower, higher in ((Authority.HALT, Authority.REDUCE_ONLY), (Authority.REDUCE_ONLY, Authority.RUN)):
        assert all(admits(higher, kind) for kind in WriteKind if admits(lower, kind))


@pytest.mark.parametrize("authority", list(Authority))
def test_authority_is_spelled_as_its_name(authority: Authority) -> None:
    assert authority_from_text(authority.name) is authority


@pytest.mark.parametrize("text", ["", "run", "STOP", "2", "RUN "])
def test_unknown_authority_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match="not an authority"):
        authority_from_text(text)
