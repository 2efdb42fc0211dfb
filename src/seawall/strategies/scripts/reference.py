"""The reference of strategy files, made from what the loader knows: `docs/strategy-files.md`.

    python -m seawall.strategies.scripts.reference > docs/strategy-files.md

A test compares the two, so that the page never says what the loader does not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from seawall.strategies.scripts.arguments import ITEMS_MAX, NESTING_MAX
from seawall.strategies.scripts.arithmetic import SEARCH_STEPS_MAX
from seawall.strategies.scripts.checks import CHECKS
from seawall.strategies.scripts.functions import REFERENCE
from seawall.strategies.scripts.lexer import EXPRESSION_CHARS_MAX
from seawall.strategies.scripts.loading import KEYS
from seawall.strategies.scripts.naming import READ_KEYS, VARIABLE_KEYS
from seawall.strategies.scripts.settings import SCRIPT_BYTES_MAX
from seawall.strategies.scripts.steps import LENDER_NAMES, STEPS_MAX, VERBS
from seawall.strategies.scripts.syntax import DEPTH_MAX, NODES_MAX
from seawall.strategies.scripts.triggers import LATE_S_MIN, MISSED_RUNS_MAX
from seawall.strategies.scripts.waking import KEEPER_KEYS, TRIGGERS

__all__ = ["render"]

_HEAD = """\
# Strategy files: reference

Made from the loader by `python -m seawall.strategies.scripts.reference`.
[strategies.md](strategies.md) shows how to use it.
"""

_EXPRESSIONS = f"""
## Expressions

Integers of 256 bits and a sign, each of a kind: an amount of a token, dollars (`usd`, 8 decimals), basis
points, a duration, a bare number, true or false. Kinds do not mix: `1 weth + 1 usdx` is refused, and so is
`1 weth + 1`. A literal is exact or refused: `1.1234567 usdx` has a digit too many.

- literals: `10 weth`, `1_000.5 usdx`, `2.5 gwei`, `1_500 usd`, `30 bps`, `10 min` (`s`, `min`, `h`, `d`),
  `1.5 wad`, `2e18`
- operators, loosest first: `if a then b else c`, `or`, `and`, `not`, `< <= == != >= >`, `+ -`, `* /`, `-a`,
  `30 bps of a`
- `/` and `of` round down; where that is wrong, `mul_div_up` and `bps_up` round up; across tokens,
  `mul_div_down(a, b, c)`
- names: variables, values, reads, `block.number`, `block.timestamp`, `block.base_fee`, `block.gas_limit`
- at most {EXPRESSION_CHARS_MAX} characters, {NODES_MAX} parts, {DEPTH_MAX} deep; a search takes at most
  {SEARCH_STEPS_MAX} steps
- within `{{ }}` YAML needs quotes around an expression that holds a comma

Overflow, division by zero, a protocol that refuses, a feed that is old or reverts: there is no plan at that
block, and the reason says where. `seawall strategies plan` shows it.
"""

_STEPS = f"""
`on` is a protocol. `as` names what the step brings: alone, it is the amount of a later step, measured on
chain. `amount: all` of `repay` and `withdraw` is whatever there is. Trades are held to `at_least`, or to
their quote less `tolerance`; liquidity that is added may be held by `minimums` instead: `quoted`, or a table.
`call` takes `arguments` along its signature: numbers are expressions, addresses are names, an array or a
tuple is a list of at most {ITEMS_MAX}, and lists stand in each other {NESTING_MAX} deep.
Of `f(address[],(uint256,bool)[2])` they are for example `[[weth, usdx], [[1 weth, true], [cash, false]]]`:
what a step brings may be a number anywhere in them.
Lenders whose names tell their kind: {", ".join(f"`{name}`" for name in LENDER_NAMES)}.
"""

_GUARDS = """
## Guards

Each by its name, with a table of its arguments, or a list of tables: [guides/guards.md](guides/guards.md) has
them. An address is a name of the address book, a number an expression: `{limit_bps: 50 bps}`.
"""

_LIMITS = f"""
At most {SCRIPT_BYTES_MAX // 1024} KiB and {STEPS_MAX} steps. No anchors, aliases, tags or duplicate keys.
"""

_MISSED = f"""
A timer more than {LATE_S_MIN} s late is a missed run: `skip` it, run `once` (default), or `all` of them,
at most {MISSED_RUNS_MAX}.
"""


def render() -> str:
    parts = [
        _HEAD,
        _table("Keys of a file", ("key", "meaning"), KEYS.items()),
        _LIMITS,
        _keys("Variables", "A name with a default (`largest: 10 weth`), or a table of:", VARIABLE_KEYS),
        _keys("Reads", "View calls of your own, each a table of:", READ_KEYS),
        _EXPRESSIONS,
        _table("Functions", ("function", "value"), ((x.usage, x.meaning) for x in REFERENCE.values())),
        _table("Triggers", ("trigger", "fires"), TRIGGERS.items()),
        _MISSED,
        _table("Keeper jobs", ("key", "meaning"), KEEPER_KEYS.items()),
        _table("Steps", ("verb", "keys"), _listed(VERBS)),
        _STEPS,
        _table("Checks on chain", ("check", "keys"), _listed(CHECKS)),
        _GUARDS,
    ]
    return "".join(parts)


def _listed(keys: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    for name, own in keys.items():
        yield name, ", ".join(own)


def _keys(title: str, sentence: str, keys: Sequence[str]) -> str:
    return f"\n## {title}\n\n{sentence} {', '.join(f'`{key}`' for key in keys)}.\n"


def _table(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"\n## {title}\n", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| `{first}` | {' | '.join(rest)} |" for first, *rest in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
