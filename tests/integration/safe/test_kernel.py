"""A true kernel with a true Safe: proposed, signed, collected, executed; and what must not go through."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from seawall.ledger.safes import ProposalNumber, ProposalState
from seawall.native.wire import LocalKey
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Address, address_text, hex_text
from seawall.protocols.safe.files import document_of
from seawall.protocols.safe.signatures import approved_hash, signed_by
from seawall.protocols.safe.transaction import Operation, safe_hash
from seawall.rollout.devnet.steering import fund, mine, reorg
from tests.fixtures.kernel import ETHER
from tests.integration.safe.conftest import RECIPIENT, SafeScene, confirmation, executed_hash

pytestmark = pytest.mark.anvil


def verified(scene: SafeScene, *arguments: str) -> tuple[int, Any]:
    """`safe verify` takes no configuration."""
    code, answer = scene.run("safe", "verify", *arguments)
    (found,) = answer["proposals"]
    return code, found


def test_payment_goes_from_proposal_to_chain_without_a_service(scene: SafeScene) -> None:
    number = scene.pay("1.5", "--note", "rent")
    assert "0 of 2 owners have signed" in scene.refused("execute", str(number))
    signed = scene.done("sign", str(number), "--signer", "alice")
    assert [one["owner"] for one in signed["signatures"]] == [address_text(scene.owners["alice"])]
    assert "signed already" in scene.refused("sign", str(number), "--signer", "alice")
    answer = scene.done("collect", scene.write(scene.with_outside_signature(number)))
    assert [one["taken"] for one in answer["proposals"][0]["signatures"]] == [True]
    before = scene.balance(RECIPIENT)
    scene.done("execute", str(number))
    row = scene.settle(number, ProposalState.EXECUTED)
    assert scene.balance(RECIPIENT) == before + 3 * ETHER // 2
    assert executed_hash(scene.folder.devnet, scene.safe) == row.hash
    assert row.is_settled
    (intent,) = scene.intents()
    assert (intent.state, intent.number) == (IntentState.LANDED, row.intent)
    verdicts = scene.folder.books.read(lambda tx: tx.safes.verdicts(ProposalNumber(number)))
    assert [one.purpose for one in verdicts] == ["propose", "sign:alice", "execute"]
    assert all(one.verdict.admitted for one in verdicts)
    outer = scene.folder.books.verdicts(intent.number)
    assert outer[-1].verdict.admitted


def test_batch_of_calls_lands_all_or_none(scene: SafeScene) -> None:
    calls = [
        {"to": "@weth", "value": "2", "function": "deposit()"},
        {
            "to": "@weth",
            "function": "transfer(address,uint256)",
            "arguments": [address_text(RECIPIENT), str(ETHER)],
        },
        {"to": address_text(RECIPIENT), "value": "0.5"},
    ]
    before = scene.balance(RECIPIENT)
    answer = scene.done("propose", scene.name, scene.write(calls, "calls.json"))
    assert [text.split("(")[0].split(" ")[0] for text in answer["calls"]] == [
        "deposit",
        "transfer",
        "send",
    ]
    number = answer["number"]
    for name in ("alice", "bob"):
        scene.done("sign", str(number), "--signer", name)
    scene.done("execute", str(number))
    scene.settle(number, ProposalState.EXECUTED)
    assert scene.balance(RECIPIENT) == before + ETHER // 2


def test_nothing_is_proposed_or_signed_that_the_limits_refuse(scene: SafeScene) -> None:
    stranger = address_text(Address(b"\x77" * 20))
    assert "position_size" in scene.refused(
        "propose", scene.name, "--to", address_text(RECIPIENT), "--value", "4"
    )
    assert "safe_target" in scene.refused("propose", scene.name, "--to", stranger, "--value", "1")
    assert "would revert" in scene.refused(
        "propose", scene.name, "--to", "@weth", "--function", "transfer(address,uint256)",
        "--argument", stranger, "--argument", "1",
    )  # fmt: skip
    number = scene.pay()
    assert "no owner" in scene.refused("sign", str(number), "--signer", "main")
    folder = ("--config", str(scene.folder.configuration))
    assert scene.run("halt", "--reason", "trial", *folder)[0] == 0
    try:
        assert "HALT" in scene.refused("sign", str(number), "--signer", "alice")
    finally:
        assert scene.run("resume", "--reason", "trial", *folder)[0] == 0
    assert scene.folder.books.read(lambda tx: tx.safes.signatures(ProposalNumber(number))) == []
    assert [row.number for row in scene.rows()] == [number]


def test_safe_whose_rules_changed_meanwhile_makes_proposals_stale(scene: SafeScene) -> None:
    """The threshold rises by a transaction of the Safe itself; the payment behind it was meant for two."""
    raising = scene.done(
        "propose", scene.name, "--to", address_text(scene.safe), "--function", "changeThreshold(uint256)",
        "--argument", "3",
    )["number"]  # fmt: skip
    payment = scene.pay()
    for number in (raising, payment):
        for name in ("alice", "bob"):
            scene.done("sign", str(number), "--signer", name)
    assert "turn has not come" in scene.refused("execute", str(payment))
    scene.done("execute", str(raising))
    scene.settle(raising, ProposalState.EXECUTED)
    row = scene.settle(payment, ProposalState.STALE)
    assert row.reason == "the threshold rose from 2 to 3"
    assert "stale" in scene.refused("execute", str(payment))
    again = scene.pay("1", "--nonce", "1")
    assert again == payment  # the same transaction, knowingly, on the Safe as it is now
    assert "2 of 3 owners" in scene.refused("execute", str(payment))
    scene.done("collect", scene.write(scene.with_outside_signature(payment)))
    scene.done("execute", str(payment))
    scene.settle(payment, ProposalState.EXECUTED)


def test_nonce_used_by_a_rival_makes_the_other_stale_for_good(scene: SafeScene) -> None:
    first, rival = scene.pay("1"), scene.pay("2", "--nonce", "0")
    for number in (first, rival):
        for name in ("alice", "bob"):
            scene.done("sign", str(number), "--signer", name)
    scene.done("execute", str(rival))
    assert "another proposal of nonce 0" in scene.refused("execute", str(first))
    scene.settle(rival, ProposalState.EXECUTED)
    scene.folder.pump(lambda: scene.row(first).is_settled, "the other is settled")
    row = scene.row(first)
    assert (row.state, row.reason) == (
        ProposalState.STALE,
        "nonce 0 was used by another transaction: the Safe is at 1",
    )
    assert len(scene.intents()) == 1


def test_coins_that_the_safe_sends_to_our_own_key_are_accounted_for(scene: SafeScene) -> None:
    key = address_text(scene.folder.key)
    calls = [{"to": key, "value": "0.25"}, {"to": address_text(RECIPIENT), "value": "0.25"}]
    number = scene.done("propose", scene.name, scene.write(calls, "calls.json"))["number"]
    for name in ("alice", "bob"):
        scene.done("sign", str(number), "--signer", name)
    scene.done("execute", str(number))
    scene.settle(number, ProposalState.EXECUTED)
    (intent,) = scene.intents()
    (own,) = scene.folder.books.read(lambda tx: tx.postings.of_intent(intent.number))
    whole = scene.folder.books.read(lambda tx: tx.postings.in_block(own.entry.block_hash))
    legs = {leg.account: leg.delta for row in whole for leg in row.entry.legs}
    assert "unexplained" not in legs
    assert legs["world"] == -ETHER // 4


def test_proposal_is_judged_upon_what_waits_before_it(scene: SafeScene) -> None:
    """The second pays with what the first one brings; only its own payment is counted."""
    recipient = address_text(RECIPIENT)
    pay = (
        "--to",
        "@weth",
        "--function",
        "transfer(address,uint256)",
        "--argument",
        recipient,
        "--argument",
        "7",
    )
    assert "would revert" in scene.refused("propose", scene.name, *pay)
    first = scene.done("propose", scene.name, "--to", "@weth", "--value", "2", "--function", "deposit()")
    second = scene.done("propose", scene.name, *pay)
    assert (first["nonce"], second["nonce"]) == (0, 1)
    assert second["effect"]["net"] == {address_text(scene.folder.devnet.book.address("weth")): "-7"}
    for number in (first["number"], second["number"]):
        scene.done("sign", str(number), "--signer", "alice")
        scene.done("sign", str(number), "--signer", "bob")
    scene.done("execute", str(first["number"]))
    scene.settle(first["number"], ProposalState.EXECUTED)
    scene.done("execute", str(second["number"]))
    scene.settle(second["number"], ProposalState.EXECUTED)


def test_execution_that_is_refused_sets_the_proposal_free_and_is_tried_again(scene: SafeScene) -> None:
    """The second verdict: the key that sends may not sink under what it has to keep."""
    number, folder = scene.pay(), scene.folder
    for name in ("alice", "bob"):
        scene.done("sign", str(number), "--signer", name)
    fund(folder.devnet, folder.key, ETHER // 10)
    mine(folder.devnet)
    try:
        scene.done("execute", str(number))
        row = scene.settle(number, ProposalState.OPEN)
        assert "ended refused: balance" in row.reason
    finally:
        fund(folder.devnet, folder.key, 20 * ETHER)
        mine(folder.devnet)
    scene.done("execute", str(number))
    scene.settle(number, ProposalState.EXECUTED)
    refused, landed = scene.intents()
    assert (refused.state, landed.state) == (IntentState.REFUSED, IntentState.LANDED)
    assert landed.plan.retry_of == refused.plan.idempotency_key


def test_reorg_that_undoes_a_rival_opens_the_proposal_again(scene: SafeScene) -> None:
    first, rival = scene.pay("1"), scene.pay("2", "--nonce", "0")
    for name in ("alice", "bob"):
        scene.done("sign", str(rival), "--signer", name)
    scene.execute_elsewhere(rival)
    scene.wait(first, ProposalState.STALE)
    assert scene.wait(rival, ProposalState.EXECUTED).is_settled is False
    reorg(scene.folder.devnet, 1)
    mine(scene.folder.devnet)
    assert scene.wait(first, ProposalState.OPEN).reason == "what made it stale was undone"
    assert scene.wait(rival, ProposalState.OPEN).reason == "its execution was undone"


def test_queue_of_another_service_is_adopted_with_its_signatures(scene: SafeScene) -> None:
    """A page as the Safe transaction service gives it: one executed, two queued, fields that we skip."""
    before, queued = scene.balance(RECIPIENT), [scene.payment(0, ETHER), scene.payment(1, 2 * ETHER)]
    pages = [
        {**document_of(one, [scene.sign_outside(one)]), "dataDecoded": None, "trusted": True, "note": None}
        for one in queued
    ]
    for page in pages:
        del page["chainId"]
    file = {"count": 3, "next": None, "results": [*pages[::-1], {**pages[0], "isExecuted": True}]}
    code, answer = scene.cli("adopt", scene.write(file))
    assert code == 1  # one was executed already
    rows = answer["proposals"]
    assert [row["signatures"][0]["taken"] for row in rows[:2]] == [True, True]
    assert "executed" in rows[2]["refused"]
    last, first = (row["number"] for row in rows[:2])
    for number in (first, last):
        scene.done("sign", str(number), "--signer", "bob")
        scene.done("execute", str(number))
        scene.settle(number, ProposalState.EXECUTED)
    assert scene.balance(RECIPIENT) == before + 3 * ETHER
    code, answer = scene.cli("adopt", scene.write(file))
    assert "nonce 1 is used up: the Safe is at 2" in answer["proposals"][0]["refused"]


def test_adopted_transactions_that_would_rob_the_safe_are_never_signed(scene: SafeScene) -> None:
    """Signed elsewhere by an owner who was deceived: a strange delegatecall, and three kinds of refund."""
    thief = Address(b"\x66" * 20)
    payment = scene.payment(0, ETHER)
    attacks = {
        "neither MultiSend nor MultiSendCallOnly": replace(
            payment, to=thief, operation=Operation.DELEGATECALL
        ),
        "it would pay whoever executes it: gasPrice": replace(payment, gas_price_wei=10**15),
        "refundReceiver": replace(payment, refund_receiver=thief),
        "its nonce is used up even where the call fails": replace(payment, safe_tx_gas=50_000),
        "nothing is known for nonce 1": replace(payment, nonce=2**62),
    }
    for reason, transaction in attacks.items():
        document = document_of(transaction, [scene.sign_outside(transaction)])
        (adopted,) = scene.done("adopt", scene.write(document))["proposals"]
        assert reason in scene.refused("sign", str(adopted["number"]), "--signer", "alice")
    assert scene.intents() == []


def test_signatures_that_are_not_an_owners_word_are_refused_by_name(scene: SafeScene) -> None:
    number = scene.pay()
    transaction = scene.transaction(number)
    owner = Address(scene.outsider.address)
    good = scene.sign_outside(transaction).data
    s = int.from_bytes(good[32:64])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    malleated = good[:32] + (order - s).to_bytes(32) + bytes((55 - good[64],))
    stranger = LocalKey.generate()
    foreign = signed_by(
        Address(stranger.address), safe_hash(transaction), stranger.sign_digest(safe_hash(transaction))
    )
    cases = {
        "it is for chain 1, not 31337": (owner, scene.sign_outside(replace(transaction, chain_id=1)).data),
        "it is for nonce 1, not 0": (owner, scene.sign_outside(replace(transaction, nonce=1)).data),
        "s is in the upper half": (owner, malleated),
        "it is of nobody who owns this Safe": (foreign.owner, foreign.data),
        "or for another transaction or chain": (owner, foreign.data),
        "the owner has not approved this digest on chain": (owner, approved_hash(owner).data),
        "v of 99 is of no kind": (owner, good[:64] + bytes((99,))),
    }
    for reason, (said, raw) in cases.items():
        document = {**scene.file_of(number), "confirmations": [confirmation(said, raw)]}
        code, answer = scene.cli("collect", scene.write(document))
        assert code == 1
        assert reason in answer["proposals"][0]["signatures"][0]["refused"]
    twice = {**scene.file_of(number), "confirmations": [confirmation(owner, good)] * 2}
    _, answer = scene.cli("collect", scene.write(twice))
    assert [one["refused"] for one in answer["proposals"][0]["signatures"]] == [
        "this owner's signature is there already",
        "",
    ]
    _, answer = scene.cli("collect", scene.write(twice))
    assert {one["refused"] for one in answer["proposals"][0]["signatures"]} == {
        "this owner's signature is there already",
        "this owner has signed already",
    }


def test_owners_sign_over_http_and_somebody_else_executes(scene: SafeScene) -> None:
    number = scene.pay()
    digest = hex_text(scene.row(number).hash)
    status, document = scene.http(f"/safes/proposals/{digest}")
    assert (status, document["safeTxHash"], document["confirmations"]) == (200, digest, [])
    assert scene.http("/safes/proposals/0x12")[0] == 404
    signed = json.dumps(scene.with_outside_signature(number)).encode()
    assert scene.http("/safes/signatures", signed, "text/plain")[0] == 415
    assert scene.http("/safes/signatures", b"{", "application/json")[0] == 400
    assert scene.http("/safes/signatures", signed, "application/json")[0] == 200
    assert scene.http("/safes/signatures", signed, "application/json")[0] == 422
    scene.done("sign", str(number), "--signer", "alice")
    scene.execute_elsewhere(number)
    row = scene.settle(number, ProposalState.EXECUTED)
    assert (row.reason, row.intent) == ("by somebody else", None)


def test_safe_and_proposals_are_shown_and_a_file_is_verified_on_chain(scene: SafeScene) -> None:
    number = scene.pay()
    scene.done("sign", str(number), "--signer", "alice")
    newest = scene.done("list")["proposals"][0]
    assert (newest["number"], newest["status"], len(newest["signatures"])) == (number, "open", 1)
    shown = scene.done("show", scene.name)
    assert shown["threshold"] == 2
    assert set(shown["owners"]) >= {address_text(owner) for owner in scene.owners.values()}
    file = scene.folder.directory / "out.json"
    scene.done("show", str(number), "--out", str(file))
    rpc = scene.folder.devnet.info.rpc_url
    assert "1 of 2" in scene.folder.seawall("safe", "list").stdout
    code, answer = verified(scene, str(file), "--rpc", rpc)
    assert (code, answer["problems"]) == (0, [])
    assert answer["effect"]["net"] == {"native": str(-ETHER)}
    assert answer["digest"] == hex_text(scene.row(number).hash)


def test_file_that_lies_is_found_by_verify_and_refused_by_collect(scene: SafeScene) -> None:
    """Another recipient under the digest that owners agreed on: what robbed Bybit."""
    number = scene.pay()
    document = scene.with_outside_signature(number)
    document["to"] = address_text(Address(b"\x66" * 20))
    file = scene.write(document)
    code, answer = scene.cli("collect", file)
    assert code == 1
    assert "not that of its fields" in answer["proposals"][0]["refused"]
    code, answer = verified(scene, file)
    assert code == 1
    assert answer["problems"][0] == "the digest in the file is not that of its fields"
    assert answer["digest"] != answer["digest_in_file"]
