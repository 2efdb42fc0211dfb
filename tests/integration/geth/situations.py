"""Every situation in which a node refuses, brought about on a true node; what it answers is kept as it came.

    .venv/bin/python -m tests.integration.geth.situations      writes tests/fixtures/node_answers.json

The recorded answers are what `chain.node_errors` is tested with where no node is at hand; a test beside this
file brings them about again and compares. Addresses and hashes differ from run to run, so they are replaced.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eth_account import Account

from seawall.chain.node_errors import NodeError
from seawall.native import DynamicFeeTransaction, LocalKey, SignedTransaction
from seawall.primitives.units import Address, hash_from_text, hex_text
from tests.fixtures import anvil as anvils
from tests.fixtures import geth as geths
from tests.fixtures.anvil import Anvil, running_anvil
from tests.fixtures.geth import ETHER, GWEI, Geth, NodeAnswer, ask, running_geth

__all__ = ["ANSWERS", "Recorded", "of_anvil", "of_geth", "read_answers"]

ANSWERS: Final = Path(__file__).resolve().parents[2] / "fixtures" / "node_answers.json"
TARGET: Final = Address(b"\x11" * 20)
NOWHERE: Final = "0x" + "77" * 32
# Unless told otherwise, geth takes what its pool has no place for, says nothing, and offers it again later.
SMALL_POOL: Final = ("--txpool.nolocals", "--txpool.globalslots", "8", "--txpool.globalqueue", "4")
SMALL_POOL_TRANSACTIONS: Final = 12  # one place of which the delegated sender has
TIP_THAT_WAITS_WEI: Final = 1_000

# Runtime code: reverts with Error("no"), with Panic(0x11), with the custom error 0xdeadbeef; runs out of gas;
# meets an invalid opcode.
_WORD: Final = 32
REVERTS: Final = {
    "error": bytes.fromhex("08c379a0")
    + (32).to_bytes(_WORD, "big")
    + (2).to_bytes(_WORD, "big")
    + b"no".ljust(32, b"\0"),
    "panic": bytes.fromhex("4e487b71") + (0x11).to_bytes(_WORD, "big"),
    "custom": bytes.fromhex("deadbeef"),
    "silent": b"",
}
CODES: Final = {"out_of_gas": "5b5f56", "invalid_opcode": "fe", "stack_underflow": "50"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One refusal: where, what was done, the answer, and its meaning. No answer: the node took it."""

    node: str
    situation: str
    answer: NodeAnswer | None
    error: NodeError | None


@dataclass(slots=True)
class Stage:
    """A node with a rich key whose first transaction is in a block and whose second waits in the pool."""

    name: str
    url: str
    chain_id: int
    rich: LocalKey
    poor: LocalKey
    contracts: dict[str, Address]

    def sign(
        self, nonce: int, key: LocalKey | None = None, *, chain_id: int | None = None, **fields: Any
    ) -> SignedTransaction:
        values: dict[str, Any] = {
            "chain_id": self.chain_id if chain_id is None else chain_id,
            "nonce": nonce,
            "max_priority_fee_per_gas_wei": TIP_THAT_WAITS_WEI,
            "max_fee_per_gas_wei": 20 * GWEI,
            "gas_limit": 100_000,
            "to": TARGET,
            "value_wei": 0,
            "data": b"",
        } | fields
        (signed,) = (key or self.rich).sign_transactions([DynamicFeeTransaction(**values)])
        return signed

    def send(self, nonce: int, key: LocalKey | None = None, **fields: Any) -> NodeAnswer | None:
        signed = self.sign(nonce, key, **fields)
        return self.ask("eth_sendRawTransaction", hex_text(signed.raw))

    def ask(self, method: str, *params: object) -> NodeAnswer | None:
        answer = ask(self.url, method, *params)
        return answer if isinstance(answer, NodeAnswer) else None

    def call(self, contract: str, block: object = "latest", **fields: object) -> NodeAnswer | None:
        request = {"from": hex_text(self.rich.address), "to": hex_text(self.contracts[contract]), **fields}
        return self.ask("eth_call", request, block)


Situation = tuple[str, NodeError | None, Callable[[Stage], NodeAnswer | None]]
E = NodeError


def _raw(data: str) -> Callable[[Stage], NodeAnswer | None]:
    return lambda stage: stage.ask("eth_sendRawTransaction", data)


def _unsignable(stage: Stage) -> NodeAnswer | None:
    raw = stage.sign(9).raw
    return stage.ask("eth_sendRawTransaction", hex_text(raw[:-32] + b"\xff" * 32))


_OF_BOTH: Final[tuple[Situation, ...]] = (
    ("same bytes again", E.ALREADY_KNOWN, lambda s: s.send(1)),
    ("nonce of a transaction in a block", E.NONCE_TOO_LOW, lambda s: s.send(0, value_wei=1)),
    ("balance below cost", E.INSUFFICIENT_FUNDS, lambda s: s.send(0, s.poor)),
    ("gas below the intrinsic cost", E.GAS_TOO_LOW, lambda s: s.send(2, gas_limit=20_000)),
    ("gas above the block's", E.GAS_TOO_HIGH, lambda s: s.send(2, gas_limit=16_000_000)),
    ("signed for another chain", E.INVALID, lambda s: s.send(2, chain_id=1)),
    ("signature out of range", E.INVALID, _unsignable),
    ("unknown transaction type", E.INVALID, _raw("0x7fc0")),
    ("not a transaction", E.INVALID, _raw("0x02c0")),
    ("no bytes", E.INVALID, _raw("0x")),
    ("call reverts with words", E.REVERTED, lambda s: s.call("error")),
    ("call panics", E.REVERTED, lambda s: s.call("panic")),
    ("call reverts with a custom error", E.REVERTED, lambda s: s.call("custom")),
    ("call reverts silently", E.REVERTED, lambda s: s.call("silent")),
    ("call runs out of gas", E.REVERTED, lambda s: s.call("out_of_gas", gas="0x10000")),
    ("call meets an invalid opcode", E.REVERTED, lambda s: s.call("invalid_opcode")),
    ("call underflows the stack", E.REVERTED, lambda s: s.call("stack_underflow")),
    ("call of more value than there is", E.INSUFFICIENT_FUNDS, lambda s: s.call("custom", value=hex(10**30))),
    (
        "call at an unknown hash",
        E.BLOCK_UNKNOWN,
        lambda s: s.call("custom", {"blockHash": NOWHERE, "requireCanonical": True}),
    ),
    ("call at a number ahead", E.BLOCK_UNKNOWN, lambda s: s.call("custom", "0xffffff")),
    (
        "balance at an unknown hash",
        E.BLOCK_UNKNOWN,
        lambda s: s.ask("eth_getBalance", hex_text(TARGET), {"blockHash": NOWHERE, "requireCanonical": True}),
    ),
    ("unknown method", E.METHOD_UNKNOWN, lambda s: s.ask("eth_nonsense")),
    ("wrong parameters", E.INVALID, lambda s: s.ask("eth_getBalance", "0x12")),
)
_OF_GETH: Final[tuple[Situation, ...]] = (
    (
        "replacement nine percent dearer",
        E.UNDERPRICED_REPLACEMENT,
        lambda s: s.send(1, max_fee_per_gas_wei=21_800_000_000, max_priority_fee_per_gas_wei=1_090),
    ),
    (
        "gas below the cost of calldata",
        E.GAS_TOO_LOW,
        lambda s: s.send(2, gas_limit=40_000, data=b"\x01" * 1_000),
    ),
    ("call below the base fee", E.FEE_TOO_LOW, lambda s: s.call("custom", maxFeePerGas="0x1")),
    (
        "creation code too large",
        E.INVALID,
        lambda s: s.send(2, to=None, data=bytes(49_153), gas_limit=5_000_000),
    ),
    ("nonce behind a gap", None, lambda s: s.send(40)),
    ("fee below the base fee", None, lambda s: s.send(2, max_fee_per_gas_wei=2_000)),
    ("no priority fee", E.FEE_TOO_LOW, lambda s: s.send(3, max_priority_fee_per_gas_wei=0)),
    ("gas above a transaction's", E.GAS_TOO_HIGH, lambda s: s.send(3, gas_limit=17_000_000)),
    ("data too large", E.INVALID, lambda s: s.send(3, data=bytes(131_072), gas_limit=10_000_000)),
    (
        "fee above the node's cap",
        E.POLICY,
        lambda s: s.send(3, max_fee_per_gas_wei=20_000 * GWEI),
    ),
    ("logs of an unknown block", E.BLOCK_UNKNOWN, lambda s: s.ask("eth_getLogs", {"blockHash": NOWHERE})),
    (
        "simulation at an unknown hash",
        E.BLOCK_UNKNOWN,
        lambda s: s.ask("eth_simulateV1", {"blockStateCalls": [{}]}, {"blockHash": NOWHERE}),
    ),
)
_OF_ANVIL: Final[tuple[Situation, ...]] = (
    ("replacement at the same fee", E.UNDERPRICED_REPLACEMENT, lambda s: s.send(1, value_wei=1)),
    ("replacement one wei dearer", None, lambda s: s.send(1, max_fee_per_gas_wei=20 * GWEI + 1)),
    ("nonce behind a gap", None, lambda s: s.send(40)),
    ("fee below the base fee", E.FEE_TOO_LOW, lambda s: s.send(2, max_fee_per_gas_wei=2_000)),
)


def of_geth(folder: Path) -> list[Recorded]:
    with running_geth(folder / "node") as node:
        stage = _staged(node, geths.CHAIN_ID)
        found = [_recorded(stage, one) for one in (*_OF_BOTH, *_OF_GETH)]
        height = node.height
        removed = str(node.record("eth_getBlockByNumber", hex(height), False)["hash"])
        node.set_head(height - 1)
        pinned = {"blockHash": removed, "requireCanonical": True}
        unwound: Situation = (
            "call at a block that was unwound",
            E.BLOCK_UNKNOWN,
            lambda s: s.call("custom", pinned),
        )
        found.append(_recorded(stage, unwound))
    with running_geth(folder / "small", *SMALL_POOL) as node:
        found += _of_delegated_sender(node)
        found += _of_full_pool(node)
    return found


def of_anvil() -> list[Recorded]:
    with running_anvil("--gas-limit", "15000000") as node:
        stage = _staged(node, anvils.CHAIN_ID)
        return [_recorded(stage, one) for one in (*_OF_BOTH, *_OF_ANVIL)]


def _staged(node: Geth | Anvil, chain_id: int) -> Stage:
    codes = {name: _reverting(data) for name, data in REVERTS.items()} | CODES
    if isinstance(node, Geth):
        rich, deployer = node.funded_keys(2)
        contracts = node.deploy_all(deployer, codes)
    else:
        rich = node.funded_key()
        contracts = {name: Address(bytes([number + 0xC0] * 20)) for number, name in enumerate(codes)}
        for name, code in codes.items():
            node.set_code(contracts[name], code)
    stage = Stage(
        "geth" if isinstance(node, Geth) else "anvil",
        node.url,
        chain_id,
        rich,
        LocalKey.generate(),
        contracts,
    )
    first = stage.sign(0, max_priority_fee_per_gas_wei=2 * GWEI)
    node.send(first)
    if isinstance(node, Geth):
        node.receipt(first.hash)
    else:
        node.mine()
    node.send(stage.sign(1))
    return stage


def _of_delegated_sender(node: Geth) -> Iterator[Recorded]:
    """An account with code (EIP-7702): one transaction at a time, and none behind a gap."""
    account = Account.create()
    sender = Address(bytes.fromhex(account.address[2:]))
    node.pay([sender], ETHER)
    authorization = account.sign_authorization(
        {"chainId": geths.CHAIN_ID, "address": hex_text(TARGET), "nonce": 1}
    )
    stage = Stage("geth", node.url, geths.CHAIN_ID, LocalKey.generate(), LocalKey.generate(), {})

    def send(nonce: int, tip_wei: int, **fields: object) -> object:
        plain = {
            "type": 2,
            "chainId": geths.CHAIN_ID,
            "nonce": nonce,
            "gas": 200_000,
            "maxFeePerGas": 20 * GWEI,
            "maxPriorityFeePerGas": tip_wei,
            "to": account.address,
            "value": 0,
        }
        raw = account.sign_transaction(plain | fields).raw_transaction
        return node.ask("eth_sendRawTransaction", hex_text(raw))

    delegation = send(0, 2 * GWEI, type=4, authorizationList=[authorization])
    node.receipt(hash_from_text(str(delegation)))

    def refused(answer: object) -> NodeAnswer | None:
        return answer if isinstance(answer, NodeAnswer) else None

    for situation in (
        ("delegated sender behind a gap", E.NONCE_TOO_HIGH, lambda _: refused(send(4, TIP_THAT_WAITS_WEI))),
        ("first one of a delegated sender", None, lambda _: refused(send(2, TIP_THAT_WAITS_WEI))),
        ("second one of a delegated sender", E.QUEUE_LIMIT, lambda _: refused(send(3, TIP_THAT_WAITS_WEI))),
    ):
        yield _recorded(stage, situation)


def _of_full_pool(node: Geth) -> Iterator[Recorded]:
    """A pool without a free place: who pays less is turned away, and who cannot be executed yet."""
    filler, cheap, gapped = node.funded_keys(3)
    stage = Stage("geth", node.url, geths.CHAIN_ID, filler, cheap, {})
    for nonce in range(SMALL_POOL_TRANSACTIONS - 1):
        assert stage.send(nonce) is None
    for situation in (
        (
            "pool full of dearer ones",
            E.FEE_TOO_LOW,
            lambda s: s.send(0, cheap, max_priority_fee_per_gas_wei=1, max_fee_per_gas_wei=GWEI),
        ),
        (
            "pool full, behind a gap",
            E.POOL_FULL,
            lambda s: s.send(5, gapped, max_priority_fee_per_gas_wei=2_000, max_fee_per_gas_wei=30 * GWEI),
        ),
    ):
        yield _recorded(stage, situation)


def _recorded(stage: Stage, situation: Situation) -> Recorded:
    name, error, bring_about = situation
    return Recorded(stage.name, name, bring_about(stage), error)


def _reverting(data: bytes) -> str:
    """Runtime code that reverts with `data`, which stands behind its twelve bytes of instructions."""
    return f"61{len(data):04x}600c5f3961{len(data):04x}5ffd{data.hex()}"


# What differs from run to run: addresses, the base fee of the moment, what is left of a balance, the height.
_DIFFERENT: Final = (
    (re.compile(r"0x[0-9a-fA-F]{40}\b"), "0xADDRESS"),
    (re.compile(r"baseFee: \d+"), "baseFee: NUMBER"),
    (re.compile(r"have \d{9,}"), "have NUMBER"),
    (re.compile(r"height is \d+"), "height is NUMBER"),
)


def normalised(text: str) -> str:
    for pattern, instead in _DIFFERENT:
        text = pattern.sub(instead, text)
    return text


def as_entry(recorded: Recorded) -> dict[str, object]:
    answer = recorded.answer
    shown = None
    if answer is not None:
        shown = {"code": answer.code, "message": normalised(answer.message), "data": answer.data}
    error = None if recorded.error is None else recorded.error.value
    return {"node": recorded.node, "situation": recorded.situation, "error": error, "answer": shown}


def read_answers() -> list[dict[str, object]]:
    entries: list[dict[str, object]] = json.loads(ANSWERS.read_text())
    return entries


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        entries = [as_entry(one) for one in (*of_geth(Path(folder)), *of_anvil())]
    ANSWERS.write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    main()
