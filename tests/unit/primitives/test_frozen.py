from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from seawall.primitives.frozen import made_quickly


@made_quickly
@dataclass(frozen=True, slots=True, order=True)
class Quick:
    number: int
    name: str = "none"
    items: list[int] = field(default_factory=list, hash=False)


@dataclass(frozen=True, slots=True, order=True)
class Plain:
    number: int
    name: str = "none"
    items: list[int] = field(default_factory=list, hash=False)


@made_quickly
@dataclass(frozen=True, slots=True)
class Checked:
    number: int

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("negative")


@made_quickly
@dataclass(frozen=True, slots=True)
class Doubled:
    number: int
    twice: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.number)


def test_fields_are_given_by_place_by_name_and_by_default() -> None:
    quick = Quick(1, items=[2])
    assert (quick.number, quick.name, quick.items) == (1, "none", [2])
    assert Quick(1).items is not Quick(1).items


def test_instance_is_of_its_class_and_frozen() -> None:
    quick = Quick(1)
    assert type(quick) is Quick
    for change in (lambda: setattr(quick, "number", 2), lambda: delattr(quick, "number")):
        with pytest.raises(FrozenInstanceError):
            change()
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(quick, "other", 1)
    assert not hasattr(quick, "__dict__")


def test_it_compares_hashes_and_reads_as_a_plain_one() -> None:
    assert Quick(1, "a") == Quick(1, "a") != Quick(2, "a")
    assert hash(Quick(1, "a")) == hash(Plain(1, "a")) == hash((1, "a"))
    assert Quick(1) < Quick(2)
    assert repr(Quick(1)) == repr(Plain(1)).replace("Plain", "Quick")
    assert replace(Quick(1), name="b") == Quick(1, "b")
    match Quick(3, "c"):
        case Quick(number, name):
            assert (number, name) == (3, "c")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_equal_and_frozen(copied: Callable[[object], object]) -> None:
    for original in (Quick(1, "a", [3]), Checked(4)):
        assert copied(original) == original
        assert type(copied(original)) is type(original)


def test_its_own_check_runs_and_sees_all_fields() -> None:
    assert Checked(0).number == 0
    with pytest.raises(ValueError, match="negative"):
        Checked(-1)


def test_wrong_arguments_are_refused_as_ever() -> None:
    make: Callable[..., object] = Quick
    for arguments, names in (((), {}), ((1, "a", [], 4), {}), ((1,), {"other": 2})):
        with pytest.raises(TypeError, match="Quick"):
            make(*arguments, **names)
    assert list(inspect.signature(Quick).parameters) == ["number", "name", "items"]


def test_what_it_is_not_made_for_is_refused() -> None:
    @dataclass(frozen=True, slots=True)
    class Below(Plain):
        more: int = 0

    @dataclass(slots=True)
    class Open:
        number: int

    @dataclass(frozen=True)
    class Wide:
        number: int

    for kind in (Below, Open, Wide):
        with pytest.raises(AssertionError):
            made_quickly(kind)


def test_field_that_follows_from_others_is_no_argument_and_follows_in_copies() -> None:
    assert Doubled(2).twice == 4
    assert replace(Doubled(2), number=3).twice == 6
    for copied in (copy.copy(Doubled(2)), copy.deepcopy(Doubled(2)), pickle.loads(pickle.dumps(Doubled(2)))):
        assert (copied, copied.twice) == (Doubled(2), 4)
    with pytest.raises(TypeError):
        Doubled(2, 4)  # type: ignore[call-arg]
