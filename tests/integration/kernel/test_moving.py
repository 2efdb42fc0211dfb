"""Somebody else uses the key of a true kernel, on a true chain: what was overtaken lands by another nonce,
once (SPEC TX-2)."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest

from seawall.ledger.rows import AttemptRow
from seawall.native import DynamicFeeTransaction, LocalKey, Password, encode_call
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState
from seawall.primitives.units import NATIVE, Address, Hash, address_text, hex_text
from seawall.protocols.executor.policy import Listing, Policy, at_most, registry_calls
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.rpc import NodeRefusedError
from seawall.rollout.devnet.steering import authorise, mine, reorg
from tests.fixtures.kernel import DEPOSIT, ETHER, KernelFolder, wait_until

pytestmark = pytest.mark.anvil

GWEI = 10**9
ELSEWHERE = Address(b"\x99" * 20)
GIVER = Address(b"\xa7" * 20)
AMOUNT_WEI = ETHER // 10
# give(uint256): sends the caller so much, or reverts.
GIVER_CODE = bytes.fromhex("5f5f5f5f600435335af115600f57005b5f5ffd")
SUBMITTER = """
[[submitters]]
name = "treasury"
chain_id = 31337
signers = ["main"]
"""


def use_elsewhere(folder: KernelFolder, nonce: int) -> Hash:
    """Somebody else has the key, and is first with this nonce."""
    keys = folder.directory / "keys"
    key = LocalKey.from_keystore(
        (keys / "main.json").read_bytes(), Password.from_file(keys / "main.password")
    )
    made = DynamicFeeTransaction(31_337, nonce, 50 * GWEI, 500 * GWEI, 21_000, ELSEWHERE, 7, b"")
    (signed,) = key.sign_transactions([made])
    folder.devnet.rpc.call("eth_sendRawTransaction", hex_text(signed.raw))
    mine(folder.devnet)
    return Hash(signed.hash)


def sent(folder: KernelFolder, count: int) -> list[AttemptRow]:
    """The attempts of the one intent, once the node has the newest of so many. No block is mined for the
    first: the head that the kernel finds is enough, and a block could hold it already."""

    def is_sent() -> bool:
        rows = folder.books.intents()
        attempts = folder.books.attempts(rows[0].number) if rows else []
        return len(attempts) == count and folder.knows(attempts[-1].hash)

    wait_until(is_sent, f"attempt {count} is in the pool")
    return folder.books.attempts(IntentNumber(folder.books.intents()[0].number))


def test_transfer_overtaken_beyond_finality_lands_once_by_another_nonce(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder, url = KernelFolder(tmp_path / "k", manual_devnet), manual_devnet.info.rpc_url
    folder.strategies.append(SUBMITTER)
    # One endpoint's word is not enough to sign a transfer again.
    folder.rpc_url = f'{url}", "{url.replace("127.0.0.1", "localhost")}'
    folder.write()
    body = {"kind": "direct", "data": hex_text(DEPOSIT), "value_wei": str(AMOUNT_WEI)}
    plan = {
        "idempotency_key": "once", "deadline_s": int(time.time()) + 3_600, "target": "@weth", "body": body,
        "accounting_token": "@weth",
    }  # fmt: skip
    (folder.directory / "plans.json").write_text(json.dumps([plan]))
    with folder.run() as kernel:
        kernel.wait_ready()
        done = folder.seawall("plans", "submit", str(folder.directory / "plans.json"))
        assert done.returncode == 0, done.stderr
        (old,) = sent(folder, 1)
        foreign = use_elsewhere(folder, old.nonce)
        mine(folder.devnet)
        folder.follow()
        assert len(folder.books.attempts(folder.books.intents()[0].number)) == 1  # it is not final yet
        folder.settle(1)
    (row,) = folder.books.intents()
    assert row.state is IntentState.LANDED
    _, new = folder.books.attempts(row.number)
    assert [(one.hash, one.succeeded) for one in folder.on_chain()] == [(foreign, True), (new.hash, True)]
    assert new.nonce == old.nonce + 1
    weth = folder.devnet.book.address("weth")
    assert folder.balance(weth, folder.number()) == AMOUNT_WEI


def gifts(folder: KernelFolder) -> KernelFolder:
    """A strategy that asks one giver once, through the executor."""
    devnet, executor = folder.devnet, folder.devnet.book.address("atomic_executor")
    devnet.rpc.call("anvil_setCode", hex_text(GIVER), hex_text(GIVER_CODE))
    devnet.rpc.call("anvil_setBalance", hex_text(GIVER), hex(ETHER))
    listing = Listing(GIVER, "give(uint256)", (at_most(ETHER),))
    for call in registry_calls(Policy(executor, (listing,))):
        devnet.rpc.settle([devnet.rpc.send(OWNER, devnet.book.address("policy_registry"), call)], mine=True)
    authorise(devnet, folder.key, folder.key)
    settings = (
        f'executor = "@atomic_executor"\ngivers = ["{address_text(GIVER)}"]\namount_wei = "{AMOUNT_WEI}"'
    )
    return folder.strategy("gifts", "batch_trials:Gifts", settings)


def test_executor_plan_moves_at_once_and_its_second_copy_reverts_when_a_reorg_brings_the_first_back(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder = gifts(KernelFolder(tmp_path / "k", manual_devnet))
    rpc, executor = folder.devnet.rpc, folder.devnet.book.address("atomic_executor")
    with folder.run() as kernel:
        kernel.wait_ready()
        (old,) = sent(folder, 1)
        use_elsewhere(folder, old.nonce)
        _, new = sent(folder, 2)  # nothing was final meanwhile
        assert new.nonce == old.nonce + 1
        reorg(folder.devnet, 1)
        with contextlib.suppress(NodeRefusedError):  # the kernel was first
            rpc.call("eth_sendRawTransaction", hex_text(old.raw))
        rows = folder.settle(1)
        folder.pump(
            lambda: all(slot.final for slot in folder.books.read(lambda tx: tx.slots.listing(9))),
            "both slots are settled",
        )
    own = folder.on_chain()
    assert [(one.nonce, one.succeeded) for one in own][:1] == [(old.nonce, True)]
    assert own[0].hash == old.hash
    assert not any(one.succeeded and one.calldata for one in own[1:])  # a copy that reverted, or a filler
    assert folder.balance(NATIVE, folder.number(), GIVER) == ETHER - AMOUNT_WEI
    (row,) = folder.books.intents()
    assert row.state is rows[0].state is IntentState.LANDED
    flag = rpc.view(executor, encode_call("isExecuted(uint256)", (row.intent_id,)))
    assert int.from_bytes(flag) == 1
    folder.assert_books_balance()
