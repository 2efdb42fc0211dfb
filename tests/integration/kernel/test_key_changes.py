"""Keys are retired and taken over in a true kernel, by the commands that a person types (KEY-2, KEY-3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seawall.ledger.key_changes import KeyChange
from seawall.native.wire import DynamicFeeTransaction, LocalKey, Password
from seawall.primitives.levels import IntentState
from seawall.primitives.units import NATIVE, Address, address_text, hex_text
from seawall.rollout.devnet import Devnet
from seawall.signers.local import THROWAWAY_COST, create_keystore
from tests.fixtures.kernel import ETHER, KernelFolder, deposit

GWEI = 10**9
_SIGNER = """
[[signers]]
name = "next"
keystore = "keys/next.json"
password_file = "keys/next.password"
since = "2026-01-31"
rotation_days = 30
[[signers.policies]]
chain_id = 31337
fee_max = "1"
value_max = "50"
any_target = true
[[signers.policies.spend]]
token = "native"
per_hour = "100"
per_day = "100"
"""


def with_successor(folder: KernelFolder) -> Address:
    """A second signer, `next`."""
    password = Password.generate()
    password.write_file(folder.directory / "keys/next.password")
    address = create_keystore(folder.directory / "keys/next.json", password, THROWAWAY_COST)
    folder.strategies.append(_SIGNER)
    folder.write()
    return address


def changes(folder: KernelFolder) -> list[KeyChange]:
    return folder.books.read(lambda tx: tx.key_changes.all())


def command(folder: KernelFolder, *arguments: str) -> Any:
    ended = folder.seawall("keys", *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_retired_key_ends_what_it_began_and_hands_over_what_it_holds(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet, balance_wei=70 * ETHER).scripted(deposit(2 * ETHER))
    heir = with_successor(folder)
    weth = manual_devnet.book.address("weth")
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(lambda: len(folder.books.intents()) == 1, "the plan was taken in")
        command(folder, "rotate", "main", "next", "--reason", "ninety days")
        folder.pump(lambda: changes(folder)[0].ended_at_s is not None, "the key is retired")
    rows = folder.books.intents()
    assert {row.state for row in rows} == {IntentState.LANDED}
    assert [row.strategy for row in rows] == ["scripted", "retirement", "retirement", "retirement"]
    last = folder.number()
    assert [folder.balance(weth, last, of) for of in (folder.key, heir)] == [0, 2 * ETHER]
    assert 0 <= folder.balance(NATIVE, last) - ETHER // 10 < ETHER // 100, "what it must keep, and a fee"
    assert folder.balance(NATIVE, last, heir) > 67 * ETHER
    folder.assert_books_balance()
    # A later life moves nothing again, and takes nothing in.
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(lambda: folder.number() > last + 3, "some blocks")
    assert len(folder.books.intents()) == len(rows)
    (listed, _) = command(folder, "list")["keys"]
    assert [(one["kind"], one["successor"], one["done"]) for one in listed["changes"]] == [
        ("retire", "next", True)
    ]


def test_a_rotation_is_begun_without_a_kernel_and_taken_back(manual_devnet: Devnet, tmp_path: Path) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet).scripted(deposit(ETHER))
    with_successor(folder)
    command(folder, "rotate", "main", "next", "--reason", "by mistake")
    again = folder.seawall("keys", "rotate", "main", "next", "--reason", "again")
    assert (again.returncode, "begun before" in again.stderr) == (2, True)
    command(folder, "keep", "main", "--reason", "it was the wrong one")
    assert changes(folder) == []
    with folder.run() as kernel:
        kernel.wait_ready()
        (row,) = folder.settle(1)
    assert row.state is IntentState.LANDED


def test_a_key_with_transactions_from_elsewhere_waits_for_them_and_goes_on_after_them(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet).scripted(deposit(ETHER), deposit(2 * ETHER))
    keys = folder.directory / "keys"
    key = LocalKey.from_keystore(
        (keys / "main.json").read_bytes(), Password.from_file(keys / "main.password")
    )
    elsewhere = [
        DynamicFeeTransaction(31337, nonce, GWEI, 100 * GWEI, 21_000, Address(b"\x66" * 20), 7, b"")
        for nonce in (0, 1)
    ]
    for signed in key.sign_transactions(elsewhere):
        manual_devnet.rpc.call("eth_sendRawTransaction", hex_text(signed.raw))
    (survey,) = command(folder, "adopt", "main", "--reason", "from the old bot")["lanes"]
    assert (survey["next_nonce"], survey["through_nonce"]) == (0, 1)
    with folder.run() as kernel:
        kernel.wait_ready()
        rows = folder.settle(2)
    assert {row.state for row in rows} == {IntentState.LANDED}
    sent = folder.on_chain()
    assert [one.value_wei for one in sent] == [7, 7, ETHER, 2 * ETHER]
    assert [one.nonce for one in sent] == [0, 1, 2, 3]
    (change,) = changes(folder)
    assert change.ended_at_s is not None
    assert address_text(change.lane.key) in folder.seawall("keys", "list").stdout


def test_a_key_without_anything_under_way_is_adopted_at_once(manual_devnet: Devnet, tmp_path: Path) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet).scripted(deposit(ETHER))
    (survey,) = command(folder, "adopt", "main", "--reason", "new here")["lanes"]
    assert survey["through_nonce"] is None
    assert changes(folder) == []
    with folder.run() as kernel:
        kernel.wait_ready()
        (row,) = folder.settle(1)
    assert row.state is IntentState.LANDED
