"""The profit sweep (TX-11): what goes to the cold address, and what stays."""

from __future__ import annotations

import pytest

from seawall.native import abi_encode
from seawall.primitives.errors import ConfigError
from seawall.primitives.observations import Cause, Decision, Observation
from seawall.primitives.plans import DirectBody
from seawall.primitives.units import NATIVE, address_text
from seawall.protocols import erc20
from seawall.strategies.profit_sweep import TRANSFER_GAS_MAX, ProfitSweep
from tests.builders import messages
from tests.builders.messages import ETHER, GWEI, KEY, NOW_S, POOL, TREASURY, USD, WETH

FEE_WEI = TRANSFER_GAS_MAX * 100 * GWEI


def settings(**changed: object) -> dict[str, object]:
    return {
        "chain_id": messages.CHAIN_ID,
        "key": address_text(KEY),
        "cold": address_text(TREASURY),
        "multicall": address_text(POOL),
        "max_fee_per_gas_wei": str(100 * GWEI),
        "tokens": [
            {"token": address_text(WETH), "keep": str(ETHER), "least": str(ETHER)},
            {"token": address_text(USD), "keep": "0", "least": "1000"},
        ],
        "native_keep_wei": str(ETHER),
        "native_least_wei": str(ETHER),
        **changed,
    }


def decide(native_wei: int, weth: int | None, usd: int, state: bytes = b"", **changed: object) -> Decision:
    sweep = ProfitSweep.configured("sweep", settings(**changed))
    labels = [read.label for read in sweep.subscriptions()[0].reads]
    answers = (native_wei, weth, usd)[: len(labels)]
    reads: dict[str, bytes | None] = {
        label: None if amount is None else abi_encode(("uint256",), (amount,))
        for label, amount in zip(labels, answers, strict=True)
    }
    seen = Observation("sweep", 7, Cause.HEAD, NOW_S, messages.block(), reads)
    return sweep.decide(seen, state)


def test_what_is_within_its_limits_stays() -> None:
    decided = decide(2 * ETHER, 2 * ETHER - 1, 999)
    assert (decided.plans, decided.state) == ((), None)


def test_tokens_over_their_limits_go_to_the_cold_address_down_to_what_is_kept() -> None:
    weth, usd = decide(0, 2 * ETHER, 5_000).plans
    assert weth.body == DirectBody(WETH, erc20.transfer_call(TREASURY, ETHER))
    assert usd.body == DirectBody(USD, erc20.transfer_call(TREASURY, 5_000))
    assert [(d.holder, d.token, d.change, d.tolerance_bps) for d in usd.expected] == [
        (TREASURY, USD, 5_000, 0)
    ]
    assert weth.idempotency_key != usd.idempotency_key


def test_the_native_token_goes_last_and_leaves_what_is_kept_and_the_fees_of_the_round() -> None:
    decided = decide(3 * ETHER + 2 * FEE_WEI, 0, 1_000)
    assert [plan.body for plan in decided.plans][1:] == [DirectBody(TREASURY, b"", 2 * ETHER)]
    assert decided.plans[1].expected[0].token == NATIVE
    assert ("min_wei", ETHER) in {g.name: g for g in decided.plans[1].guards}["balance"].arguments


def test_a_token_that_cannot_be_read_keeps_no_other_back() -> None:
    (usd,) = decide(0, None, 5_000).plans
    assert usd.body == DirectBody(USD, erc20.transfer_call(TREASURY, 5_000))


def test_no_more_goes_at_once_than_the_most_that_may() -> None:
    tokens = [{"token": address_text(WETH), "keep": "0", "least": "1", "most": str(ETHER)}]
    weth, native = decide(90 * ETHER, 3 * ETHER, 0, tokens=tokens, native_most_wei=str(2 * ETHER)).plans
    assert weth.body == DirectBody(WETH, erc20.transfer_call(TREASURY, ETHER))
    assert native.body == DirectBody(TREASURY, b"", 2 * ETHER)


def test_the_native_token_stays_where_no_least_is_given() -> None:
    assert decide(10**6 * ETHER, 0, 0, native_least_wei="0").plans == ()


def test_the_next_round_waits_for_the_last() -> None:
    first = decide(0, 0, 5_000)
    assert first.state is not None
    assert decide(0, 0, 5_000, first.state).plans == ()


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"cold": address_text(KEY)}, "cannot be the cold address"),
        ({"cold": "0x" + "00" * 20}, "cannot be the cold address"),
        ({"tokens": [], "native_least_wei": "0"}, "none, too many"),
        ({"tokens": [{"token": address_text(USD), "keep": "0", "least": "1"}] * 2}, "twice there"),
        ({"tokens": [{"token": address_text(USD), "keep": "0", "least": "0"}]}, "no least"),
        ({"native_keep_wei": "-1"}, "negative"),
        ({"native_most_wei": "1"}, "less would go at once"),
        ({"native_most_wei": "-1"}, "less would go at once"),
    ],
)
def test_settings_that_cannot_work_are_refused(changed: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        ProfitSweep.configured("sweep", settings(**changed))
