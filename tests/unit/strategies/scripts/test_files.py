"""Strategy files: every mistake is told with line, key and fix, all at once."""

from __future__ import annotations

import pytest

from seawall.primitives.levels import Priority
from seawall.primitives.units import address_text
from seawall.strategies.scripts.documents import read_document
from seawall.strategies.scripts.problems import PROBLEMS_MAX, ScriptError
from seawall.strategies.scripts.script import AccountForm
from seawall.strategies.scripts.settings import SCRIPT_BYTES_MAX
from tests.builders.strategy_files import KEY, VAULT, problems_of, script_of

GOOD = """\
strategy: tried
chain: 31337
accounting: weth
min_profit: 1 weth
steps:
  - swap: {on: stall, give: weth, get: usdx, amount: 1 weth}
"""


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def with_lines(*lines: str) -> str:
    return GOOD + "\n".join(lines) + "\n"


def step(text: str) -> str:
    return changed("swap: {on: stall, give: weth, get: usdx, amount: 1 weth}", text)


def test_smallest_file_is_a_script_with_the_defaults() -> None:
    script = script_of(GOOD)
    assert (script.name, script.ttl_s, script.tolerance_bps) == ("tried", 60, 50)
    assert (script.priority, script.cooldown_blocks, script.gas_limit) == (Priority.NORMAL, 2, None)
    assert script.account.form is AccountForm.EXECUTOR
    assert script.account.beneficiary == KEY


def test_account_may_be_the_key_or_a_contract_of_ours() -> None:
    lines = changed("min_profit: 1 weth\n", "account: vault\nexpect: [{token: weth, change: 1 weth}]\n")
    assert script_of(lines).account.address == VAULT
    assert script_of(changed("min_profit: 1 weth\n", "account: key\n")).account.address == KEY
    assert script_of(lines.replace("vault", address_text(VAULT))).account.address == VAULT


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # the document
        ("", "file is empty"),
        ("- a\n- b\n", "not a table"),
        ("strategy: [", "this is not YAML"),
        ("a: b: c\n", "this is not YAML"),
        ("strategy: a\x00b\n", "this is not YAML"),
        (GOOD + "strategy: again\n", "there twice, first on line 1"),
        (GOOD + "---\nother: document\n", "a second document"),
        (changed("tried", "&name tried"), "the anchor 'name'"),
        ("a: &x [1]\nb: *x\n", "the anchor"),
        ("b: *x\n", "an alias"),
        (changed("tried", "!!python/object/apply:os.system tried"), "the tag"),
        ("%YAML 1.1\n---\n" + GOOD, "a YAML directive"),
        ("a: " + "[" * 60 + "]" * 60, "deeper"),
        ("a: [" + "1," * 6_000 + "]", "more than"),
        ("? [a, b]\n: c\n", "a key is not a short text"),
        # keys
        (changed("steps", "stepz"), "'stepz' is not known here; did you mean 'steps'"),
        (changed("strategy: tried\n", ""), "the key 'strategy' is missing"),
        (changed("chain: 31337\n", ""), "the key 'chain' is missing"),
        (changed("min_profit: 1 weth\n", ""), "the key 'min_profit' is missing"),
        (changed("tried", "Not A Name"), "is not a name"),
        (changed("31337", "1"), "for chain 1, and it is configured for 31337"),
        (changed("31337", "0x1"), "no whole number"),
        (changed("accounting: weth", "accounting: wet"), "no token 'wet'; did you mean 'weth'"),
        (changed("1 weth\nsteps", "1 usdx\nsteps"), "min_profit: this is an amount of usdx"),
        (changed("1 weth\nsteps", "0 weth\nsteps"), "a profit of nothing"),
        (with_lines("tolerance: 0 bps"), "zero: nothing would ever pass"),
        (with_lines("tolerance: 10_000 bps"), "not a fixed value in range"),
        (with_lines("tolerance: 50"), "not basis points"),
        (with_lines("deadline: 8 d"), "not a fixed value in range"),
        (with_lines("priority: urgent"), "no priority"),
        (with_lines("cooldown: -1"), "no whole number"),
        (with_lines("gas_limit: 1_000"), "no whole number"),
        (with_lines("account: vaut"), "did you mean 'vault'"),
        (with_lines("account: 0x5FbDB2315678afecb367f032d93F642f64180aa4"), "checksum"),
        (with_lines("account: vault"), "a position plan must say"),
        (with_lines("account: vault", "expect: [{token: weth, change: 1 weth}]"), "only the executor's"),
        (with_lines(f"note: {'x' * 300}"), "a note is one short line"),
        # names
        (with_lines("protocols: {own: stal}"), "no protocol 'stal' on this chain; did you mean 'stall'"),
        (with_lines("protocols: {weth: stall}"), "names something else already"),
        (with_lines("prices: {wet: {feed: feed_eth_usd}}"), "did you mean 'weth'"),
        (with_lines("prices: {weth: {feed: feed_eth}}"), "did you mean 'feed_eth_usd'"),
        (with_lines("variables: {a: balance(weth)}"), "fixed before any block"),
        (with_lines("variables: {a: {kind: amount of weth}}"), "has no value"),
        (with_lines("variables: {a: {default: 1 weth, at_least: 2 weth}}"), "below `at_least`"),
        (with_lines("variables: {a: {default: 1 weth, at_most: 0.5 weth}}"), "above `at_most`"),
        (with_lines("variables: {a: {kind: amount of wet, default: 1}}"), "no token 'wet'"),
        (with_lines("variables: {a: {kind: nonsense, default: 1}}"), "'nonsense' is no kind"),
        (with_lines("variables: {if: 1}"), "'if' is not a name"),
        (with_lines("values: {a: b + 1}"), "nothing is named 'b'"),
        (with_lines("values: {a: 1 / 0}"), "division by zero"),
        (with_lines("reads: {a: {from: vault, function: nonsense}}"), "is no function"),
        (with_lines("reads: {a: {from: vault, function: 'f(uint256)'}}"), "takes 1 arguments"),
        (with_lines("reads: {a: {from: vault, function: 'f()', returns: bytes}}"), "no number is returned"),
        (with_lines("reads: {a: {from: vault, function: 'f()', word: 1}}"), "no number is returned"),
        (with_lines("reads: {a: {from: vault, function: 'f()', of: wet}}"), "no kind or token"),
        # waking
        (with_lines("triggers: [block]"), "one word with its value"),
        (with_lines("triggers: [{blok: 5}]"), "did you mean 'block'"),
        (with_lines("triggers: [{block: 0}]"), "no whole number"),
        (with_lines("triggers: [{every: 1 s}]"), "out of range"),
        (with_lines("triggers: [{every: {interval: 1 h, missed: never}}]"), "'never' is not known here"),
        (with_lines("triggers: [{daily: {at: '25:00'}}]"), "no time of day"),
        (with_lines("triggers: [{daily: {at: '05:00', days: [monday]}}]"), "did you mean 'mon'"),
        (with_lines("triggers: [{price: {of: block.base_fee, crosses: 1 weth}}]"), "not an amount of native"),
        (with_lines("triggers: [{event: {from: weht, event: 'T()'}}]"), "did you mean 'weth'"),
        (with_lines("triggers: [{event: {from: weth, event: T}}]"), "is no event"),
        (with_lines("keeper: {gas_limit: 100_000, fee_per_run: 1 weth, fee_per_day: 1 native}"), "of native"),
        (with_lines("keeper: {gas_limit: 100_000, fee_per_run: 2 native, fee_per_day: 1 native}"), "a run's"),
        (with_lines("keeper: {fee_per_run: 1 native, fee_per_day: 1 native}"), "'gas_limit' is missing"),
        # conditions and demands
        (with_lines("when: [1 weth]"), "not true or false"),
        (with_lines("when: [1 > 2]"), "never true"),
        (with_lines("expect: [{token: weth, change: 1 usdx}]"), "not an amount of weth"),
        (with_lines("expect: [{token: weth, change: 1 weth, holder: me}]"), "'me' is no address"),
        (with_lines("expect: [{token: weth, change: 1 weth, tolerance: 10_000 bps}]"), "under 10000 bps"),
        (with_lines("guards: {slipage: {limit_bps: 50 bps}}"), "did you mean 'slippage'"),
        (with_lines("guards: {slippage: {limit: 50 bps}}"), "did you mean 'limit_bps'"),
        (with_lines("guards: {slippage: }"), "'limit_bps' is missing"),
        (with_lines("guards: {slippage: {limit_bps: 0 bps}}"), "zero: nothing would ever pass"),
        (with_lines("guards: {slippage: {limit_bps: 1 weth}}"), "bps is asked for"),
        (with_lines("guards: {oracle_staleness: {feed: feed, max_age_s: 1 h}}"), "book has no 'feed'"),
        (with_lines("guards: {position_loss: {max_loss: 1}}"), "ask for min_profit"),
        (with_lines("checks: [{feed_fersh: {}}]"), "did you mean 'feed_fresh'"),
        (with_lines("checks: [{feed_fresh: {feed: feed_eth_usd}}]"), "'max_age' is missing"),
        (with_lines("checks: [{feed_fresh: {feed: fed, max_age: 1 h}}]"), "nothing here is named 'fed'"),
        (with_lines("checks: [{balance_at_least: {token: weth, amount: 1 usdx}}]"), "not an amount of weth"),
        # steps
        (step("swpa: {}"), "did you mean 'swap'"),
        (step("swap: {on: stall}"), "'give' is missing"),
        (step("swap: {on: stall, give: weth, get: usdx, amount: 0 weth}"), "the amount is zero"),
        (step("swap: {on: stall, give: weth, get: usdx, amount: -1 weth}"), "negative"),
        (step("swap: {on: stall, give: weth, get: usdx, amount: 1 usdx}"), "not an amount of weth"),
        (step("swap: {on: stall, give: weth, get: usdx, amount: 1.0000000000000000001 weth}"), "weth has 18"),
        (step("swap: {on: stall, give: weth, get: usdx, amount: 1e77 weth}"), "256 bits"),
        (step("swap: {on: stall, give: weth, get: usdx, amount: 1 weth, at_least: 0 usdx}"), "any price"),
        (step("swap: {on: stall, give: weth, get: usdx, amount: 1 weth, as: weth}"), "names something else"),
        (step("swap: {on: stall, give: weth, get: dai, amount: 1 weth}"), "no token 'dai'"),
        (step("swap: {on: nobody, give: weth, get: usdx, amount: 1 weth}"), "no protocol 'nobody'"),
        (step("flash: {from: vault, borrow: {weth: 1 weth}}"), "'steps' is missing"),
        (step("flash: {from: vault, borrow: {weth: 1 weth}, steps: [{}]}"), "add kind: one of balancer_v2"),
        (step("flash: {from: vault, kind: aave, borrow: {weth: 1 weth}, steps: []}"), "'aave_v3'"),
        (step("flash: {from: vault, kind: erc3156, max_fee: 501 bps, steps: []}"), "absurd"),
        (step("flash: {from: bank, borrow: {weth: 1 weth}, steps: []}"), "address book has no 'bank'"),
        (step("call: {to: pool, function: 'f(uint256)'}"), "takes 1 arguments"),
        (step("call: {to: pool, function: 'f(bytes)', arguments: [1]}"), "cannot be written here"),
        (step("call: {to: pool, function: 'f(address)', arguments: [me]}"), "'me' is no address"),
        (step("call: {to: pool, function: 'f(bool)', arguments: [1]}"), "not bool"),
        (step("choose: {if: 1, then: []}"), "not true or false"),
        (changed("steps:\n", "steps: []\nabout:\n").replace("  - swap", "  swap"), "nothing to do"),
    ],
)  # fmt: skip
def test_mistake_is_told_with_its_fix(text: str, told: str) -> None:
    found = problems_of(text)
    assert any(told in one for one in found), found


def test_problems_name_line_and_key_and_come_in_the_order_of_the_file() -> None:
    text = GOOD.replace("weth, get: usdx", "wet, get: usdc") + "tolerance: 50\nguards:\n  slipage:\n"
    assert problems_of(text) == [
        "6 steps[0].swap.give: there is no token 'wet'; did you mean 'weth'?",
        "6 steps[0].swap.get: there is no token 'usdc'; did you mean 'usdx'?",
        "7 tolerance: this is a number, not basis points; give basis points",
        "9 guards.slipage: there is no guard 'slipage'; did you mean 'slippage'?",
    ]


def test_place_within_an_expression_is_the_character_itself() -> None:
    with pytest.raises(ScriptError) as caught:
        script_of(GOOD + 'values:\n  a: "1 + soma"\n  b: |\n    1 +\n    soma\n')
    places = [(one.place.line, one.place.column) for one in caught.value.problems]
    assert places == [(8, 11), (11, 1)]


def test_file_that_is_no_text_or_too_large_is_refused() -> None:
    for content in (b"\xff\xfe", b"a: b\n" * SCRIPT_BYTES_MAX, b"a: \xc3\x28\n"):
        with pytest.raises(ScriptError):
            read_document(content, "s.yaml")


def test_no_more_problems_are_told_than_anybody_reads() -> None:
    text = GOOD + "values:\n" + "".join(f"  v{number}: nothing\n" for number in range(200))
    assert len(problems_of(text)) == PROBLEMS_MAX


def test_settings_override_variables_of_the_same_kind_only() -> None:
    text = with_lines("variables: {most: {default: 3 weth, at_most: 9 weth}}", "values: {a: most * 2}")
    assert script_of(text, most="4 weth").scope.definitions["a"].constant == 8 * 10**18
    assert any("not an amount of weth" in one for one in problems_of(text, most="4 usdx"))
    assert any("above `at_most`" in one for one in problems_of(text, most="10 weth"))
    assert any("a setting names 'mots'" in one for one in problems_of(text, mots="1 weth"))
    needed = with_lines("variables: {most: {kind: amount of weth}}")
    assert problems_of(needed, most="4 weth") == []


def test_outputs_of_steps_stand_alone_and_fit_their_token() -> None:
    first = "  - swap: {on: stall, give: weth, get: usdx, amount: 1 weth, as: got}\n"
    second = "  - swap: {on: stall_two, give: usdx, get: weth, amount: AMOUNT}\n"
    text = GOOD[: GOOD.index("  - swap")] + first + second
    assert problems_of(text.replace("AMOUNT", "got")) == []
    assert any("measured on chain" in one for one in problems_of(text.replace("AMOUNT", "got / 2")))
    turned = text.replace("give: usdx, get: weth", "give: weth, get: usdx").replace("AMOUNT", "got")
    assert any("'got' is of usdx, not of weth" in one for one in problems_of(turned))
