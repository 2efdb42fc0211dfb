"""Whatever is in a strategy file, reading it ends soon, and only with problems that have place and fix."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from seawall.native import abi_decode
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import MarketError, ProtocolError
from seawall.primitives.plans import DirectBody
from seawall.primitives.units import Address
from seawall.strategies.scripts.compiling import compiled
from seawall.strategies.scripts.problems import ExpressionError, ScriptError
from seawall.strategies.scripts.syntax import parse
from tests.builders.strategy_files import KEY, POOL, WETH, script_of, seen, strategy_of

Typed = tuple[str, st.SearchStrategy[Any]]
"""A type of the ABI, and its values."""

BASE = """\
strategy: tried
chain: 31337
accounting: weth
min_profit: 1 weth
protocols: {own: stall}
prices: {weth: {feed: feed_eth_usd}}
variables: {most: 3 weth, flag: true, share: 5 bps, pause: 3 min}
reads: {told: {from: pool, function: "told()", of: usdx}}
values: {twice: most * 2}
triggers: [{block: 5}, {every: 10 min}, {daily: {at: '06:30'}}, {price: {of: told, crosses: 1 usdx}}]
when: [most > 0]
steps:
  - flash:
      from: vault
      kind: balancer_v2
      borrow: {weth: 1 weth}
      steps:
        - swap: {on: stall, give: weth, get: usdx, amount: 1 weth, as: middle}
        - swap: {on: stall_two, give: usdx, get: weth, amount: middle}
        - call: {to: pool, function: "f((bool,uint8)[],uint256)", arguments: [[[flag, 1], [true, 2]], middle]}
expect: [{token: weth, change: 1 weth}]
guards: {slippage: {limit_bps: 50 bps}}
keeper: {gas_limit: 100_000, fee_per_run: 0.1 native, fee_per_day: 1 native}
"""
VOCABULARY = """
1 0 2 1_000 1.5 2e3 1e77 weth usdx usd bps gwei min h d most flag share pause twice told middle
+ - * / < <= == != >= > ( ) , -> . and or not if then else of true false
quote impact balance price value min max abs mul_div_down mul_div_up bps_up argmax position
liquidity supply_rate units amount x own stall debt block.number block.base_fee key account
"""
WORDS = VOCABULARY.split()
SCRIPT = script_of(BASE)
STRATEGY = strategy_of(BASE)

words = st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)
# Sentences that mostly are expressions.
amounts = st.recursive(
    st.sampled_from(["1 weth", "most", "twice", "0.5 weth", "balance(weth)", "amount(weth, 7)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda a: f"mul_div_down({a}, {a}, 3 weth)"),
        inner.map(lambda a: f"{a} * 1e60 / (block.number - 100)"),
        inner.map(lambda a: f"quote(own, usdx -> weth, quote(stall_two, weth -> usdx, {a}))"),
        st.tuples(inner, inner).map(lambda t: f"(if {t[0]} > {t[1]} then {t[0]} else {t[1]})"),
    ),
    max_leaves=6,
)


@given(st.one_of(words, st.text(max_size=60)))
@settings(max_examples=400, deadline=None)
def test_any_expression_has_a_kind_or_a_reason(text: str) -> None:
    try:
        compiled(parse(text), SCRIPT.scope)
    except ExpressionError as error:
        is_told(error, text)


@given(st.one_of(amounts, amounts.map(lambda a: f"argmax(x, 0 weth, {a}, 30 bps of x - {a})")))
@settings(max_examples=200, deadline=None)
def test_any_amount_has_a_value_in_256_bits_or_a_reason(text: str) -> None:
    term = compiled(parse(text), SCRIPT.scope)
    try:
        value = term.run(SCRIPT.scope.frame(STRATEGY.world(seen(STRATEGY))))
    except (ExpressionError, MarketError, ProtocolError):
        return
    assert -UINT256_MAX <= value <= UINT256_MAX


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_change_of_a_good_file_is_a_script_or_problems_with_places(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(BASE) - 1))
    end = data.draw(st.integers(start, min(len(BASE), start + 40)))
    filling = data.draw(
        st.one_of(
            words, st.text(max_size=20), st.sampled_from(["", "\n", ": ", "- ", "{", "}", "[", "&a ", "*a"])
        )
    )
    check(BASE[:start] + filling + BASE[end:])


# Types as deep as a file may write them, each with values of its own.
singles = st.one_of(
    st.integers(1, 32).map(lambda n: (f"uint{8 * n}", st.integers(0, 2 ** (8 * n) - 1))),
    st.integers(1, 32).map(lambda n: (f"int{8 * n}", st.integers(-(2 ** (8 * n - 1)), 2 ** (8 * n - 1) - 1))),
    st.just(("bool", st.booleans())),
    st.just(("address", st.sampled_from([KEY, POOL, WETH]))),
)


def several(inner: Typed) -> st.SearchStrategy[Typed]:
    name, values = inner
    return st.one_of(
        st.just((f"{name}[]", st.lists(values, max_size=4).map(tuple))),
        st.integers(1, 3).map(lambda n: (f"{name}[{n}]", st.tuples(*[values] * n))),
    )


def group(parts: list[Typed]) -> Typed:
    return f"({','.join(name for name, _ in parts)})", st.tuples(*(values for _, values in parts))


def nested(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    return st.one_of(inner.flatmap(several), st.lists(inner, min_size=1, max_size=3).map(group))


types = st.one_of(singles, nested(singles), nested(st.one_of(singles, nested(singles))))


def as_written(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(as_written, value))}]"
    if isinstance(value, bytes):
        return {KEY: "key", POOL: "pool", WETH: "weth"}[Address(value)]
    return str(value).lower()


def call_of(parts: list[Typed], arguments: str) -> str:
    function = "f" + group(parts)[0] if parts else "f()"
    return (
        "strategy: tried\nchain: 31337\naccount: key\naccounting: weth\n"
        f"steps: [call: {{to: pool, function: '{function}', arguments: {arguments}}}]\n"
    )


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_any_lists_that_fit_a_signature_are_its_arguments(data: st.DataObject) -> None:
    parts = data.draw(st.lists(types, max_size=4))
    values = data.draw(group(parts)[1])
    strategy = strategy_of(call_of(parts, as_written(values)))
    (plan,) = strategy.decide(seen(strategy), b"").plans
    assert isinstance(plan.body, DirectBody)
    assert abi_decode([name for name, _ in parts], plan.body.calldata[4:]) == values


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_any_lists_are_arguments_or_problems_with_places(data: st.DataObject) -> None:
    parts, others = data.draw(st.lists(types, max_size=3)), data.draw(st.lists(types, max_size=3))
    check(call_of(parts, as_written(data.draw(group(others)[1]))))


@given(st.text(max_size=300))
@example("a: &a [*a]")
@example("[" * 5_000)
@example("{a: " * 200)
@example("? " * 300)
@example("a: |\n" + " b\n" * 100)
@example("'" * 999)
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_script_or_problems_with_places(text: str) -> None:
    check(text)


def is_told(error: ExpressionError, text: str) -> None:
    assert error.what
    assert error.fix
    assert 0 <= error.at <= len(text)


def check(text: str) -> None:
    try:
        strategy = strategy_of(text)
    except ScriptError as error:
        for problem in error.problems:
            assert problem.what
            assert problem.fix
            assert 1 <= problem.place.line <= text.count("\n") + 2 + text.count("\r") + text.count("\x85")
        return
    except UnicodeEncodeError:
        return  # half a character: it cannot be in a file
    strategy.decide(seen(strategy), b"")
