from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seawall.ledger import Ledger, LedgerSettings, Transaction
from seawall.primitives.levels import IntentState
from seawall.primitives.units import address_text, hex_text
from tests.unit.cli.conftest import Seawall
from tests.unit.ledger import samples


@pytest.fixture
def ledger(seawall: Seawall, project: Path) -> Path:
    """The project's ledger with a plan on chain and one that was refused."""
    assert seawall("ledger", "migrate").code == 0
    file = project / "data" / "ledger.db"

    def fill(tx: Transaction) -> None:
        attempt = samples.committed(tx)
        tx.heads.append(samples.block(100))
        samples.included(tx, attempt, samples.block(100))
        tx.intents.set_profit(attempt.intents[0][0], 15 * 10**17, -(10**15) - 1)
        refused = samples.accepted(tx, "two")
        tx.verdicts.insert(samples.verdict(refused.number, admitted=False), samples.NOW_S)
        tx.intents.set_state(
            refused.number, IntentState.REFUSED, "slippage: the pool moved", None, samples.NOW_S
        )

    async def write() -> None:
        settings = LedgerSettings(f"sqlite:///{file}")
        opened = Ledger.open(settings, clock=samples.FixedClock(), entropy=samples.FixedEntropy())
        await opened.write(fill)
        await opened.close()

    asyncio.run(write())
    return file


def test_plans_are_listed_newest_first_with_exact_amounts(seawall: Seawall, ledger: Path) -> None:
    plans = seawall("plans", "list", "--json").document["plans"]
    assert isinstance(plans, list)
    assert [(plan["id"], plan["status"]) for plan in plans] == [(2, "refused"), (1, "committed")]
    assert plans[0]["reason"] == "slippage: the pool moved"
    assert plans[1]["key"] == address_text(samples.KEY)
    assert plans[1]["accounting_token"] == "native"
    assert plans[1]["profit_realised_wei"] == "-1000000000000001"
    text = seawall("plans", "list").output
    assert "the pool moved" in text
    assert "1.500000 ETH" in text
    assert "-0.001000 ETH" in text


def test_plans_page_by_number_and_filter_by_strategy(seawall: Seawall, ledger: Path) -> None:
    assert len(_plans(seawall("plans", "list", "--limit", "1", "--json").document)) == 1
    assert [plan["id"] for plan in _plans(seawall("plans", "list", "--before", "2", "--json").document)] == [
        1
    ]
    assert _plans(seawall("plans", "list", "--strategy", "nobody", "--json").document) == []
    assert seawall("plans", "list", "--strategy", "nobody").output == "No plan was accepted yet.\n"


def test_plan_is_shown_with_verdicts_transactions_and_measurements(seawall: Seawall, ledger: Path) -> None:
    document = seawall("plans", "show", "1", "--json").document
    (verdict,) = _list(document["verdicts"])
    (sent,) = _list(document["transactions"])
    (measurement,) = _list(verdict["measurements"])
    assert verdict["predicted_wei"] == str(2**200)
    assert (measurement["guard"], measurement["measured"], measurement["limit"]) == ("slippage", "12", "50")
    assert sent["hash"] == hex_text(samples.digest_of("attempt", 0))
    assert sent["included"] is not None
    assert "verdict on candidate 1" in seawall("plans", "show", "1").output
    assert "refused" in seawall("plans", "show", "2").output


def test_unknown_plan_is_refused(seawall: Seawall, ledger: Path) -> None:
    answer = seawall("plans", "show", "99", "--json")
    assert answer.code in (1, 2)
    assert answer.refusal["what"]


def test_transactions_are_listed_and_shown(seawall: Seawall, ledger: Path) -> None:
    (row,) = _list(seawall("tx", "list", "--json").document["transactions"])
    digest = str(row["hash"])
    assert (row["nonce"], row["kind"], row["plans"]) == (0, "plan", [1])
    document = seawall("tx", "show", digest, "--json").document
    assert document["max_fee_per_gas_wei"] == str(10**9)
    assert document["removed_from"] == []
    assert digest in seawall("tx", "show", digest).output
    assert "devnet" not in seawall("tx", "list").errors


@pytest.mark.parametrize("digest", ["0x12", "xyz", "0x" + "ab" * 32])
def test_hash_that_is_none_or_unknown_is_bad_input(seawall: Seawall, ledger: Path, digest: str) -> None:
    answer = seawall("tx", "show", digest, "--json")
    assert answer.code == 2
    assert answer.refusal["fix"]


def test_reading_without_a_ledger_says_how_to_make_one(seawall: Seawall, project: Path) -> None:
    answer = seawall("plans", "list", "--json")
    assert answer.code == 1
    assert "seawall" in answer.refusal["fix"]


def test_migrating_twice_and_taking_down_again(seawall: Seawall, project: Path) -> None:
    assert seawall("ledger", "migrate", "--json").document == {"revision": "head", "created": True}
    assert seawall("ledger", "migrate", "--json").document == {"revision": "head", "created": False}
    assert seawall("ledger", "downgrade", "base", "--json").code == 0
    assert seawall("ledger", "migrate").code == 0
    assert seawall("ledger", "migrate", "--revision", "nonsense", "--json").code == 1


def test_strategies_are_listed_from_the_configuration(seawall: Seawall, project: Path) -> None:
    assert seawall("strategies", "list", "--json").document == {"strategies": []}
    assert seawall("strategies", "list").output == "No strategy is configured.\n"
    with (project / "seawall.toml").open("a") as file:
        file.write(
            '[[strategies]]\nname = "keeper"\nclass = "my.module:Keeper"\n'
            'chain_id = 31337\nsigner = "main"\nmode = "live"\n'
        )
    (row,) = _list(seawall("strategies", "list", "--json").document["strategies"])
    assert (row["name"], row["mode"], row["host"]) == ("keeper", "live", "shared")
    assert "my.module:Keeper" in seawall("strategies", "list").output


def _plans(document: dict[str, object]) -> list[dict[str, object]]:
    return _list(document["plans"])


def _list(value: object) -> list[dict[str, object]]:
    assert isinstance(value, list)
    return value
