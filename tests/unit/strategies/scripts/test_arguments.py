"""Arguments of raw calls: arrays and tuples, held against the signature when the file is read."""

from __future__ import annotations

import pytest

from seawall.native import abi_decode, encode_call
from seawall.primitives.plans import DirectBody, Plan
from seawall.protocols.executor.encoding import HEAD_WORDS_MAX
from seawall.protocols.executor.operations import Call, Measured, Operation, Splice
from seawall.strategies.composing import Outcome, Steps
from seawall.strategies.scripts.arguments import ITEMS_MAX
from seawall.strategies.scripts.problems import Problem, ScriptError
from seawall.strategies.scripts.signatures import Group, Several, Single, parameters_of, type_of
from seawall.strategies.scripts.steps import take_at
from tests.builders.strategy_files import EXECUTOR, KEY, POOL, WETH, script_of, seen, strategy_of

FILE = """\
strategy: tried
chain: 31337
account: key
accounting: weth
variables: {most: 3 weth, is_on: true}
steps:
  - call: {to: pool, function: "FUNCTION", arguments: ARGUMENTS}
"""
MEASURED = """\
strategy: tried
chain: 31337
accounting: weth
min_profit: 1 weth
steps:
  - swap: {on: stall, give: weth, get: usdx, amount: 1 weth, as: cash}
  - swap: {on: stall_two, give: weth, get: usdx, amount: 1 weth, as: more}
  - call: {to: pool, function: "FUNCTION", arguments: ARGUMENTS}
"""


def written(function: str, arguments: str, text: str = FILE) -> str:
    return text.replace("FUNCTION", function).replace("ARGUMENTS", arguments)


def plan_of(text: str) -> Plan:
    strategy = strategy_of(text)
    (plan,) = strategy.decide(seen(strategy), b"").plans
    return plan


def operations_of(text: str) -> tuple[Operation, ...]:
    strategy = strategy_of(text)
    world, scope = strategy.world(seen(strategy)), strategy.script.scope
    steps, outcomes = Steps(EXECUTOR, lambda adapter: world.snapshot(adapter.name)), dict[str, Outcome]()
    for step in strategy.script.steps:
        take_at(step, scope.frame(world), steps, outcomes)
    return steps.operations


def mistakes_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ScriptError) as refused:
        script_of(text)
    return refused.value.problems


@pytest.mark.parametrize(
    ("function", "arguments", "values"),
    [
        ("f(uint256[])", "[[]]", ((),)),
        ("f(uint256[])", "[[1, 2, 3]]", ((1, 2, 3),)),
        ("f(uint256[2],bool)", "[[most, 1 weth], is_on]", ((3 * 10**18, 10**18), True)),
        ("f((address,uint256),int8)", "[[key, 7], -8]", ((KEY, 7), -8)),
        ("f((address,uint256)[])", "[[[weth, 1], [pool, 2]]]", (((WETH, 1), (POOL, 2)),)),
        ("f(uint256[][2])", "[[[1], [2, 3]]]", (((1,), (2, 3)),)),
        ("f((bool,address[]))", "[[true, [key, pool]]]", ((True, (KEY, POOL)),)),
        ("f(((uint8,uint8),bool))", "[[[1, 2], false]]", (((1, 2), False),)),
    ],
)
def test_lists_become_arrays_and_tuples(function: str, arguments: str, values: tuple[object, ...]) -> None:
    body = plan_of(written(function, arguments)).body
    assert isinstance(body, DirectBody)
    assert body.calldata[:4] == encode_call(function, values)[:4]  # type: ignore[arg-type]
    assert abi_decode(parameters_of(function) or (), body.calldata[4:]) == values


@pytest.mark.parametrize(
    ("function", "arguments", "what", "at"),
    [
        ("f(uint256[])", "[7]", "an array is expected here", "7]"),
        ("f((bool,bool))", "[true]", "a tuple is expected here", "true]"),
        ("f(uint256[2])", "[[1]]", "an array of 2 is expected here, and 1 are given", "[1]"),
        ("f((uint8,bool))", "[[1, true, 3]]", "a tuple of 2 is expected here, and 3 are given", "[1, true"),
        ("f(uint256)", "[[1]]", "one value is expected here, of type uint256", "[1]"),
        ("f(uint8[])", "[[1, 256]]", "256 does not fit uint8", "256"),
        ("f(int8[])", "[[-129]]", "-129 does not fit int8", "-129"),
        ("f(uint256[])", "[[1, -1]]", "-1 does not fit uint256", "-1"),
        ("f(bool[])", "[[1]]", "this is a number, not bool", "1]"),
        ("f(uint256[])", "[[true]]", "not uint256", "true"),
        ("f(address[])", "[[me]]", "'me' is no address", "me]"),
        ("f((bytes,bool))", "[[1, true]]", "of type bytes cannot be written here", "1, true"),
        ("f(uint[])", "[[1]]", "'uint[]' is no type of the ABI", "function"),
        ("f(uint256[0])", "[[]]", "'uint256[0]' is no type of the ABI", "function"),
        ("f(uint256[][][])", "[[[[1]]]]", "nested deeper than 2", "function"),
        ("f(uint256[])", f"[[{'1, ' * ITEMS_MAX}1]]", f"more than {ITEMS_MAX} items", "[1, 1"),
        ("f(uint256[],bool)", "[[1]]", "takes 2 arguments, and 1 are given", "arguments"),
    ],
)
def test_what_does_not_fit_is_told_where_it_stands(function: str, arguments: str, what: str, at: str) -> None:
    text = written(function, arguments)
    (problem,) = mistakes_of(text)
    assert what in problem.what
    assert problem.fix
    assert problem.place.key.startswith("steps[0].call.")
    assert text.splitlines()[problem.place.line - 1][problem.place.column - 1 :].startswith(at)


def test_measured_amounts_are_written_over_their_own_words() -> None:
    """Behind a static tuple, and twice in the tail of an array."""
    function = "f((uint8,uint8),uint256,(bool,uint256[]),uint256)"
    *_, call = operations_of(written(function, "[[1, 2], cash, [true, [5, more, cash]], 9]", MEASURED))
    assert isinstance(call, Call)
    assert call.data == encode_call(function, ((1, 2), 0, (True, (5, 0, 0)), 9))
    assert call.splices == (
        Splice(2, Measured("cash")),
        Splice(9, Measured("more")),
        Splice(10, Measured("cash")),
    )
    spliced = bytearray(call.data)
    for splice, amount in zip(call.splices, (11, 12, 13), strict=True):
        spliced[4 + 32 * splice.word : 36 + 32 * splice.word] = amount.to_bytes(32, "big")
    assert bytes(spliced) == encode_call(function, ((1, 2), 11, (True, (5, 12, 13)), 9))


def test_what_is_measured_stands_among_the_words_that_the_executor_writes() -> None:
    items = ["7"] * HEAD_WORDS_MAX
    (problem,) = mistakes_of(written("f(uint256[])", f"[[{', '.join(items)}, cash]]", MEASURED))
    assert f"would be word {HEAD_WORDS_MAX + 2} of the call" in problem.what
    assert problem.place.line == 8


def test_types_are_read_as_trees() -> None:
    assert type_of("(address,bool)[2]") == Several(Group((Single("address"), Single("bool"))), 2)
    assert type_of("uint8[][3]") == Several(Several(Single("uint8"), None), 3)
    for text in ("", "()", "(,)", "uint", "uint7", "bytes33", "(bool", "bool)", "bool[-1]", "bool[01]", "[]"):
        assert type_of(text) is None
