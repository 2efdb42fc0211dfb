"""The functions of the expression language, one entry each. `REFERENCE` is what the documentation prints.

What reaches us rounds down, what we pay and owe rounds up: rates that we earn are rounded down, rates that we
pay up, positions as the adapter says (`protocols.adapters.base`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import BPS, NATIVE, ceil_div
from seawall.protocols.adapters.actions import Action, ClaimExit, Deposit, Redeem, Swap
from seawall.protocols.adapters.base import RAY, PositionKind, Quote
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.strategies.scripts.arithmetic import argmax, bps_down, bps_up, mul_div
from seawall.strategies.scripts.kinds import BPS_KIND, NUMBER, USD, Base, Kind, Unit, amount_of
from seawall.strategies.scripts.problems import ExpressionError, nearest, shown
from seawall.strategies.scripts.syntax import Call, Name, Route
from seawall.strategies.scripts.terms import Frame, Run, Scope, Term, folded, require

__all__ = ["REFERENCE", "Entry", "call"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One function. `fewest` and `most` count arguments."""

    usage: str
    meaning: str
    fewest: int
    most: int
    make: Callable[[Call, Scope], Term]


def call(node: Call, scope: Scope) -> Term:
    entry = REFERENCE.get(node.function)
    if entry is None:
        raise ExpressionError(
            f"there is no function {shown(node.function)}", nearest(node.function, REFERENCE), node.at
        )
    if not entry.fewest <= len(node.arguments) <= entry.most:
        raise ExpressionError(
            f"{node.function} is given {len(node.arguments)} arguments", f"write {entry.usage}", node.at
        )
    return entry.make(node, scope)


def _extreme(pick: Callable[[list[int]], int]) -> Callable[[Call, Scope], Term]:
    def make(node: Call, scope: Scope) -> Term:
        terms = [scope.term(one) for one in node.arguments]
        kind = terms[0].kind
        for term in terms:
            require(term, kind, node.function)
        return folded(kind, lambda f: pick([term.run(f) for term in terms]), node.at, *terms)

    return make


def _absolute(node: Call, scope: Scope) -> Term:
    term = scope.term(node.arguments[0])
    return folded(term.kind, lambda f: abs(term.run(f)), node.at, term)


def _mul_div(*, up: bool) -> Callable[[Call, Scope], Term]:
    def make(node: Call, scope: Scope) -> Term:
        a, b, divisor = (scope.term(one) for one in node.arguments)
        kind = _mul_div_kind(a.kind, b.kind, divisor.kind, node)
        return folded(
            kind,
            lambda f: mul_div(a.run(f), b.run(f), divisor.run(f), node.at, up=up),
            node.at,
            a,
            b,
            divisor,
        )

    return make


def _mul_div_kind(a: Kind, b: Kind, divisor: Kind, node: Call) -> Kind:
    """Kinds cancel like units: weth * usdx / weth is usdx."""
    left = [kind for kind in (a, b) if kind != NUMBER]
    if divisor != NUMBER:
        if divisor not in left:
            raise ExpressionError(
                f"{a} times {b} is not divided by {divisor}", "divide by one of the two kinds", node.at
            )
        left.remove(divisor)
    if len(left) > 1:
        raise ExpressionError(
            f"{a} times {b} needs a divisor of one of the two kinds", "divide by one", node.at
        )
    return left[0] if left else NUMBER


def _share(*, up: bool) -> Callable[[Call, Scope], Term]:
    def make(node: Call, scope: Scope) -> Term:
        share, value = (scope.term(one) for one in node.arguments)
        require(share, BPS_KIND, node.function)
        if value.kind.base not in (Base.AMOUNT, Base.NUMBER):
            raise ExpressionError(f"basis points of {value.kind} are nothing", "give an amount", node.at)
        work = bps_up if up else bps_down
        return folded(value.kind, lambda f: work(share.run(f), value.run(f), node.at), node.at, share, value)

    return make


def _units(node: Call, scope: Scope) -> Term:
    term = scope.term(node.arguments[0])
    return folded(NUMBER, term.run, node.at, term)


def _in_units_of(node: Call, scope: Scope) -> Term:
    unit = scope.unit(node.arguments[0])
    term = scope.term(node.arguments[1])
    require(term, NUMBER, "amount")
    return folded(amount_of(unit), term.run, node.at, term)


def _balance(node: Call, scope: Scope) -> Term:
    unit = scope.unit(node.arguments[0])
    holder = scope.holder(node.arguments[1]) if len(node.arguments) > 1 else scope.needs.account
    token = unit.token
    if token == NATIVE and scope.needs.multicall is None:
        raise ExpressionError(
            "native balances are read through Multicall3, which the address book lacks",
            "add `multicall3` to the address book",
            node.at,
        )
    scope.needs.balances.add((token, holder))
    return Term(amount_of(unit), lambda f: f.world.balance(token, holder), node.at)


def _price(node: Call, scope: Scope) -> Term:
    unit = _priced(scope.unit(node.arguments[0]), scope, node)
    return Term(USD, lambda f: f.world.price(unit.name), node.at)


def _value(node: Call, scope: Scope) -> Term:
    term = scope.term(node.arguments[0])
    if term.kind.unit is None or term.kind == USD:
        raise ExpressionError(f"{term.kind} has no price", "give an amount of a token", node.at)
    unit = _priced(term.kind.unit, scope, node)
    one = 10**unit.decimals
    return Term(
        USD, lambda f: mul_div(term.run(f), f.world.price(unit.name), one, node.at, up=False), node.at
    )


def _priced(unit: Unit, scope: Scope, node: Call) -> Unit:
    feed = scope.feeds.get(unit.name)
    if feed is None:
        raise ExpressionError(
            f"no feed prices {unit.name}", f"name one under prices: {{{unit.name}: {{feed: ...}}}}", node.at
        )
    scope.needs.feeds.add(feed.feed)
    return unit


@dataclass(frozen=True, slots=True)
class _Trade:
    """What `quote` and `impact` ask about."""

    adapter: AnyAdapter
    end: Unit
    amount: Run
    action_of: Callable[[int], Action]

    def quote(self, frame: Frame) -> Quote:
        return frame.world.quote(self.adapter.name, self.action_of(self.amount(frame)))


def _trade(node: Call, scope: Scope) -> _Trade:
    adapter = scope.adapter(node.arguments[0])
    route = node.arguments[1]
    if not isinstance(route, Route):
        raise ExpressionError("a route is expected here", "write weth -> usdx", route.at)
    start, end = scope.unit(route.start), scope.unit(route.end)
    term = scope.term(node.arguments[2])
    require(term, amount_of(start), node.function)
    action_of = _action(route, start, end)
    kind = type(action_of(1))
    if kind not in adapter.actions:
        known = ", ".join(sorted(one.__name__.lower() for one in adapter.actions))
        raise ExpressionError(
            f"{adapter.name} does not {kind.__name__.lower()}", f"it knows: {known}", route.at
        )
    return _Trade(adapter, end, term.run, action_of)


def _action(route: Route, start: Unit, end: Unit) -> Callable[[int], Action]:
    given, got = start.token, end.token
    if given == got:
        raise ExpressionError("a route from a token to itself", "name two tokens", route.at)
    match route.verb:
        case "" | "swap":
            return lambda amount: Swap(given, got, amount)
        case "deposit":
            return lambda amount: Deposit(given, got, amount)
        case "redeem":
            return lambda amount: Redeem(given, got, amount)
    raise ExpressionError(
        f"{shown(route.verb)} is nothing that is quoted",
        "write swap, deposit or redeem before the route",
        route.at,
    )


def _quote(node: Call, scope: Scope) -> Term:
    trade = _trade(node, scope)
    kind, action, token = amount_of(trade.end), trade.action_of(1), trade.end.token
    if isinstance(action, Swap):
        name, given, amount = trade.adapter.name, action.token_in, trade.amount
        return Term(kind, lambda f: f.world.sold(name, given, token, amount(f)), node.at)

    def run(frame: Frame) -> int:
        return sum(one.amount for one in trade.quote(frame).gives if one.token == token)

    return Term(kind, run, node.at)


def _impact(node: Call, scope: Scope) -> Term:
    trade = _trade(node, scope)
    return Term(BPS_KIND, lambda f: trade.quote(f).impact_bps, node.at)


def _position(node: Call, scope: Scope) -> Term:
    adapter = scope.adapter(node.arguments[0])
    named = node.arguments[1]
    name = named.text if isinstance(named, Name) else ""
    if name not in tuple(PositionKind):
        raise ExpressionError(
            f"{shown(name)} is no kind of position", nearest(name, tuple(PositionKind)), named.at
        )
    kind, unit = PositionKind(name), scope.unit(node.arguments[2])
    token = unit.token
    return Term(amount_of(unit), lambda f: f.world.position(adapter.name, kind, token), node.at)


def _claimable(node: Call, scope: Scope) -> Term:
    adapter, unit = _queue(node, scope)

    def run(frame: Frame) -> int:
        found = frame.world.claimable(adapter.name, unit.token)
        return 0 if found is None else found[1]

    return Term(amount_of(unit), run, node.at)


def _request(node: Call, scope: Scope) -> Term:
    adapter, unit = _queue(node, scope)

    def run(frame: Frame) -> int:
        found = frame.world.claimable(adapter.name, unit.token)
        if found is None:
            raise ProtocolError(
                f"{adapter.name} pays no request of ours now", node.function, "ask claimable(...) first"
            )
        return found[0]

    return Term(NUMBER, run, node.at)


def _queue(node: Call, scope: Scope) -> tuple[AnyAdapter, Unit]:
    adapter = scope.adapter(node.arguments[0])
    if ClaimExit not in adapter.actions:
        raise ExpressionError(
            f"{adapter.name} has no queue", "name one that pays later", node.arguments[0].at
        )
    return adapter, scope.unit(node.arguments[1])


def _liquidity(node: Call, scope: Scope) -> Term:
    adapter, unit = scope.adapter(node.arguments[0]), scope.unit(node.arguments[1])
    token = unit.token
    return Term(amount_of(unit), lambda f: f.world.liquidity(adapter.name, token), node.at)


def _rate(*, borrowed: bool) -> Callable[[Call, Scope], Term]:
    def make(node: Call, scope: Scope) -> Term:
        adapter, unit = scope.adapter(node.arguments[0]), scope.unit(node.arguments[1])
        token = unit.token
        change: Run = lambda _: 0  # noqa: E731  (the other branch is a method)
        if len(node.arguments) > 2:
            term = scope.term(node.arguments[2])
            require(term, amount_of(unit), node.function)
            change = term.run

        def run(frame: Frame) -> int:
            rates = frame.world.rates(adapter.name, token, change(frame))
            ray = rates.borrow_ray if borrowed else rates.supply_ray
            if ray is None:
                raise ProtocolError(
                    f"{adapter.name} has no such rate of {unit.name}", node.function, "ask another protocol"
                )
            return ceil_div(ray * BPS, RAY) if borrowed else ray * BPS // RAY

        return Term(BPS_KIND, run, node.at)

    return make


def _argmax(node: Call, scope: Scope) -> Term:
    named, low, high = (
        node.arguments[0],
        scope.term(node.arguments[1]),
        scope.term(node.arguments[2]),
    )
    if not isinstance(named, Name) or "." in named.text or named.text in scope.definitions:
        raise ExpressionError("a new name is expected here", "write argmax(x, low, high, ...)", named.at)
    require(high, low.kind, "argmax")
    if scope.is_searching:
        raise ExpressionError("a search within a search", "compute the inner one under `values`", node.at)
    name = named.text
    scope.definitions[name] = Term(low.kind, _unbound, named.at)
    scope.is_searching = True
    try:
        of = scope.term(node.arguments[3])
    finally:
        del scope.definitions[name]
        scope.is_searching = False
    if of.kind.base not in (Base.AMOUNT, Base.NUMBER):
        raise ExpressionError(f"{of.kind} has no largest value", "give an amount", of.at)

    def run(frame: Frame) -> int:
        inner = Frame(frame.world, frame.definitions, {}, frame)

        def value_at(x: int) -> int:
            inner.known[name] = x
            return of.run(inner)

        return argmax(low.run(frame), high.run(frame), value_at, node.at)

    return Term(low.kind, run, node.at)


def _unbound(frame: Frame) -> int:
    raise AssertionError(f"a name of argmax is known while it is evaluated, not after: {len(frame.known)}")


REFERENCE: Final[dict[str, Entry]] = {
    "min": Entry("min(a, b, ...)", "the smallest", 2, 16, _extreme(min)),
    "max": Entry("max(a, b, ...)", "the largest", 2, 16, _extreme(max)),
    "abs": Entry("abs(a)", "without its sign", 1, 1, _absolute),
    "mul_div_down": Entry(
        "mul_div_down(a, b, c)", "a * b / c, rounded down, no overflow between", 3, 3, _mul_div(up=False)
    ),
    "mul_div_up": Entry(
        "mul_div_up(a, b, c)", "a * b / c, rounded up, no overflow between", 3, 3, _mul_div(up=True)
    ),
    "bps_down": Entry(
        "bps_down(30 bps, a)", "that share of a, rounded down; so is `30 bps of a`", 2, 2, _share(up=False)
    ),
    "bps_up": Entry("bps_up(30 bps, a)", "that share of a, rounded up", 2, 2, _share(up=True)),
    "units": Entry("units(a)", "an amount as a bare number of its smallest unit", 1, 1, _units),
    "amount": Entry(
        "amount(weth, n)", "a bare number as an amount, in the smallest unit", 2, 2, _in_units_of
    ),
    "balance": Entry(
        "balance(weth)",
        "what the account holds; balance(weth, key) what another address holds",
        1,
        2,
        _balance,
    ),
    "price": Entry(
        "price(weth)",
        "dollars for one whole token, by its feed; refused when the answer is too old",
        1,
        1,
        _price,
    ),
    "value": Entry("value(a)", "dollars for an amount, rounded down", 1, 1, _value),
    "quote": Entry(
        "quote(uniswap_v2, weth -> usdx, a)",
        "what comes out, to the wei; also `deposit a -> b`, `redeem a -> b`",
        3,
        3,
        _quote,
    ),
    "impact": Entry(
        "impact(uniswap_v2, weth -> usdx, a)",
        "how much worse than a tiny trade, in bps, rounded up",
        3,
        3,
        _impact,
    ),
    "position": Entry(
        "position(aave_v3, debt, usdx)",
        "what the account has there: supplied, collateral, debt, share, leaving or reward",
        3,
        3,
        _position,
    ),
    "claimable": Entry(
        "claimable(lido, native)",
        "what our first request that is due is paid; zero where none is",
        2,
        2,
        _claimable,
    ),
    "request": Entry("request(lido, native)", "the number of that request, for `claim_exit`", 2, 2, _request),
    "liquidity": Entry("liquidity(aave_v3, usdx)", "what anyone could take out at once", 2, 2, _liquidity),
    "supply_rate": Entry(
        "supply_rate(aave_v3, usdx)",
        "a year, in bps, rounded down; a third argument is our own change",
        2,
        3,
        _rate(borrowed=False),
    ),
    "borrow_rate": Entry(
        "borrow_rate(aave_v3, usdx)",
        "a year, in bps, rounded up; a third argument is our own change",
        2,
        3,
        _rate(borrowed=True),
    ),
    "argmax": Entry(
        "argmax(x, low, high, f)",
        "the x between low and high where f(x) is largest; f has one peak",
        4,
        4,
        _argmax,
    ),
}
