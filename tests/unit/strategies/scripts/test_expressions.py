"""The expression language: exact literals, kinds that do not mix, named rounding, and every failure told."""

from __future__ import annotations

import pytest

from seawall.primitives.blocks import Read
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import Address
from seawall.protocols.adapters.erased import erased
from seawall.protocols.answers import Answers
from seawall.strategies.scripts.arithmetic import argmax
from seawall.strategies.scripts.compiling import compiled
from seawall.strategies.scripts.lexer import EXPRESSION_CHARS_MAX
from seawall.strategies.scripts.problems import ExpressionError
from seawall.strategies.scripts.syntax import parse
from seawall.strategies.scripts.terms import Term
from seawall.strategies.scripts.world import Needs
from tests.builders.strategy_files import KEY, POOL, WETH, Stall, script_of, seen, strategy_of

FILE = """\
strategy: tried
chain: 31337
accounting: weth
min_profit: 1 weth
variables:
  some: 3 weth
prices:
  weth: {{feed: feed_eth_usd, max_age: 1 h}}
reads:
  own: {{from: pool, function: "own(uint256)", arguments: ["7"], of: usdx}}
values:
  asked: {expression}
when: ["block.number > 0"]
steps:
  - swap: {{on: stall, give: weth, get: usdx, amount: 1 weth}}
"""
ROUND = b"".join(word.to_bytes(32, "big") for word in (5, 1_999 * 10**8, 1, 1_700_000_000, 5))


def term_of(expression: str) -> Term:
    return compiled(parse(expression), script_of(FILE.format(expression="1")).scope)


def value_of(expression: str) -> int:
    strategy = strategy_of(FILE.format(expression=expression))
    feed = {read.label: ROUND for read in strategy.subscriptions()[0].reads if "round" in read.label}
    decimals = {
        read.label: (8).to_bytes(32, "big")
        for read in strategy.subscriptions()[0].reads
        if "decimals" in read.label
    }
    observation = seen(strategy, answers=feed | decimals)
    return strategy.script.scope.frame(strategy.world(observation)).value("asked")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1_000.5 usdx", 1_000_500_000),
        ("10 weth", 10 * 10**18),
        ("2e3", 2_000),
        ("1.25e2", 125),
        ("2.5 gwei", 25 * 10**8),
        ("1.5 usd", 150_000_000),
        ("2 h + 30 min", 9_000),
        ("50 bps", 50),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-2 - 3", -5),
        ("7 / 2", 3),
        ("10 weth / 3 weth", 3),
        ("2 * some", 6 * 10**18),
        ("30 bps of 1_000_001", 3_000),
        ("bps_up(30 bps, 1_000_001)", 3_001),
        ("mul_div_down(10 weth, 3 usdx, 7 weth)", 4_285_714),
        ("mul_div_up(10 weth, 3 usdx, 7 weth)", 4_285_715),
        ("mul_div_down(1e70, 1e70, 1e70)", 10**70),
        ("min(3, 1, 2) + max(3, 1, 2)", 4),
        ("abs(2 usdx - 5 usdx)", 3_000_000),
        ("if 1 < 2 then 10 else 20", 10),
        ("if 0 > 0 then 1 / 0 else 5", 5),
        ("1 < 2 and not 2 < 1 or false", 1),
        ("not true or true", 1),
        ("some > 0", 1),
        ("units(some) + 1", 3 * 10**18 + 1),
        ("amount(usdx, 7)", 7),
        ("block.number + block.timestamp", 1_700_000_100),
        ("block.base_fee == 1 gwei", 1),
        ("quote(stall, weth -> usdx, 1 weth)", 1_994_000_000),
        ("quote(stall, swap usdx -> weth, 2_000 usdx)", 997 * 10**15),
        ('quote("stall", weth -> usdx, 1 weth)', 1_994_000_000),
        ("impact(stall, weth -> usdx, 1 weth)", 30),
        ("balance(weth)", 2_000),
        ("balance(native, key)", 2_000),
        ("position(stall, debt, usdx)", 2_000_000_000),
        ("liquidity(stall, weth)", 2_000),
        ("supply_rate(stall, usdx)", 20),
        ("borrow_rate(stall, usdx)", 21),
        ("borrow_rate(stall, usdx, 0.000100 usdx)", 22),
        ("price(weth)", 1_999 * 10**8),
        ("value(1.5 weth)", 299_850_000_000),
        ("own", 2_000),
        ("argmax(x, 0, 1_000, 400 * x - x * x)", 200),
    ],
)
def test_expression_has_its_value(expression: str, value: int) -> None:
    assert value_of(expression) == value


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("1.1234567 usdx", "7 decimals, and usdx has 6"),
        ("1.5", "a bare number has none"),
        ("10 wet", "no token or unit 'wet'"),
        ("1e78", "exponent"),
        ("1e999999999999", "exponent"),
        ("1e77 weth", "256 bits"),
        ("9" * 130, "too long"),
        ("1 weth + 1 usdx", "an amount of weth + an amount of usdx"),
        ("1 weth + 1", "an amount of weth + a number"),
        ("1 weth * 1 usdx", "mul_div_down"),
        ("1 weth < 1 usdx", "not compared"),
        ("true < 1", "not compared"),
        ("1 < 2 < 3", "do not chain"),
        ("not 1", "`not` needs true or false"),
        ("1 and true", "`and` needs true or false"),
        ("if 1 then 2 else 3", "`if` needs"),
        ("if true then 1 else 1 weth", "one side"),
        ("-true", "no sign"),
        ("soma + 1", "did you mean 'some'"),
        ("weth", "is a token"),
        ("stall", "is a protocol"),
        ("quota(stall, weth -> usdx, 1 weth)", "did you mean 'quote'"),
        ("quote(stall, weth -> usdx)", "2 arguments"),
        ("quote(stal, weth -> usdx, 1 weth)", "did you mean 'stall'"),
        ("quote(stall, weth -> usd, 1 weth)", "no token 'usd'"),
        ("quote(stall, weth -> weth, 1 weth)", "to itself"),
        ("quote(stall, weth -> usdx, 1 usdx)", "needs an amount of weth"),
        ("quote(stall, borrow weth -> usdx, 1 weth)", "nothing that is quoted"),
        ("quote(stall, 1 weth, 1 weth)", "a route is expected"),
        ("position(stall, dept, usdx)", "did you mean 'debt'"),
        ("price(usdx)", "no feed prices usdx"),
        ("value(5)", "has no price"),
        ("mul_div_down(1 weth, 2 usdx, 3)", "needs a divisor"),
        ("mul_div_down(1 weth, 2, 3 usdx)", "not divided by"),
        ("bps_down(5, 1 weth)", "needs basis points"),
        ("5 bps of true", "are nothing"),
        ("argmax(some, 0, 1, some)", "a new name"),
        ("argmax(x, 0, 1 weth, x)", "needs a number"),
        ("argmax(x, 0, 9, argmax(y, 0, 9, x * y))", "a search within a search"),
        ("1 +", "the expression ends"),
        ("(1", "`)`"),
        ("1 2", "the end, or an operator"),
        ("a.", "a name after the dot"),
        ("f(1 2)", "`,`"),
        ("1 = 2", "compare with =="),
        ("2 ^ 3", "there are no powers"),
        ("'text'", "a text has no value"),
        ("1 -> 2", "the end, or an operator"),
        ("x" * (EXPRESSION_CHARS_MAX + 1), "characters"),
        ("(" * 40 + "1" + ")" * 40, "too large"),
        ("+".join(["1"] * 300), "too large"),
        ("__import__('os')", "no function '__import__'"),
        ("some.__class__", "nothing is named"),
        ("", "the expression ends"),
    ],
)
def test_expression_without_meaning_is_refused_with_a_reason(expression: str, complaint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        term_of(expression)
    assert complaint in f"{caught.value.what}; {caught.value.fix}"
    assert 0 <= caught.value.at <= len(expression)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("1 / 0", "division by zero"),
        ("1 / (2 - 2)", "division by zero"),
        ("(0 - 4) / 2", "negative"),
        (f"{UINT256_MAX} + 1", "256 bits"),
        ("1e77 * 10", "256 bits"),
        ("mul_div_down(1e77, 1e77, 1)", "256 bits"),
        ("0 - 1e77 - 1e77", "256 bits"),
    ],
)
def test_arithmetic_that_fails_is_known_before_any_block(expression: str, complaint: str) -> None:
    failure = term_of(expression).failure
    assert failure is not None
    assert complaint in failure.what


@pytest.mark.parametrize("expression", ["1 / (block.number - 100)", "1e77 * block.number"])
def test_arithmetic_that_fails_at_a_block_is_a_typed_error(expression: str) -> None:
    with pytest.raises(ExpressionError):
        value_of(expression)


def test_argmax_finds_peaks_and_never_less_than_the_ends() -> None:
    for peak in (0, 1, 17, 9_999, 499_999, 999_999, 10**6):
        found = argmax(0, 10**6, lambda x, p=peak: -abs(x - p), 0)  # type: ignore[misc]
        assert abs(found - peak) <= peak >> 14
    assert argmax(5, 5, lambda x: x, 0) == 5
    assert argmax(10**18, 10**18 + 5, lambda x: -x, 0) == 10**18, "a range within one grain has two ends"
    with pytest.raises(ExpressionError, match="empty"):
        argmax(6, 5, lambda x: x, 0)


@pytest.mark.parametrize("gap_bps", [-300, 10, 70, 300, 2_000])
def test_argmax_looks_at_two_markets_some_twenty_times(gap_bps: int) -> None:
    """Selling in one constant-product pool and buying back in another, whose unit is a millionth."""
    ether, looks = 10**18, []

    def gained(size: int) -> int:
        looks.append(size)
        fee = size * 997 // 1000
        dollars = fee * 3_000_000 * 10**6 * (10_000 + gap_bps) // 10_000 // (1_000 * ether + fee)
        fee = dollars * 9995 // 10_000
        return fee * 2_000 * ether // (6_000_000 * 10**6 + fee) - size

    found = argmax(ether // 1000, 100 * ether, gained, 0)
    assert len(looks) <= 30
    around = range(ether // 1000, 100 * ether, ether // 100)
    assert gained(found) >= max(map(gained, around)) - 10**10


def test_balances_that_are_named_are_read_and_no_others() -> None:
    labels = {read.target for read in strategy_of(FILE.format(expression="1")).subscriptions()[0].reads}
    assert WETH not in labels
    assert WETH in {
        read.target for read in strategy_of(FILE.format(expression="balance(weth)")).subscriptions()[0].reads
    }


def test_reads_in_rounds_are_asked_for_as_answers_tell_and_stay_asked_for() -> None:
    """The first answer names a second read, whose answer names a third."""
    needs = Needs(KEY, adapters={"rounds": erased(Rounds("rounds"))})
    answers: dict[str, bytes | None] = {}
    asked = []
    for _ in range(4):
        wanted = {read.label for read in needs.reads(answers)}
        asked.append(len(wanted))
        answers |= dict.fromkeys(wanted, (2).to_bytes(32, "big"))
    assert asked == [1, 2, 3, 3]


class Rounds(Stall):
    def more_reads(self, answers: Answers, holders: tuple[Address, ...] = ()) -> tuple[Read, ...]:
        del holders
        place = len(answers)
        return (Read(f"{self.name}:{place}", POOL, b"\0\0\0\2"),) if place < 3 else ()
