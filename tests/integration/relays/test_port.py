"""Relays as their port sees them: every dialect, the signature, bundles whole or not at all, and no byte
after a stop."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from seawall.chain.endpoints import Endpoint
from seawall.chain.relays.form import RelayForm
from seawall.chain.relays.identity import RelayIdentity
from seawall.chain.relays.port import RelayPort, RoutedPort
from seawall.chain.relays.settings import Dialect, RelaySettings
from seawall.chain.sockets import Connection
from seawall.chain.writes import PrivateTerms, SignedWrite, Withdrawal, WriteAnswer, WriteResult
from seawall.control.latch import Latch
from seawall.native import LocalKey, SignedTransaction, keccak256
from seawall.primitives.levels import Authority, WriteKind
from seawall.primitives.ports import SystemClock
from seawall.primitives.secrets import Secret
from seawall.primitives.units import Address, Hash, hex_text
from tests.fixtures.anvil import Anvil, anvil, transaction
from tests.fixtures.raw_server import Peer, raw_server
from tests.fixtures.relay import AUTHORIZATION, Mode, Relay, running_relay

__all__ = ["anvil"]

pytestmark = pytest.mark.anvil
TARGET = Address(b"\x11" * 20)
# PUSH0 PUSH0 REVERT
REVERTS = "5f5ffd"
FOREVER_S = 2**40
RACES = 40
UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
SPOKEN = [
    (Dialect.FLASHBOTS, True),
    (Dialect.FLASHBOTS, False),
    (Dialect.MEV_SHARE, True),
    (Dialect.BLOXROUTE, True),
    (Dialect.BLOXROUTE, False),
    (Dialect.PRIVATE_RPC, False),
]


@pytest.fixture
def latch(tmp_path: Path) -> Latch:
    return Latch(tmp_path / "latch")


@pytest.fixture
def relay(anvil: Anvil) -> Iterator[Relay]:
    with running_relay(anvil.url) as started:
        yield started


@contextlib.asynccontextmanager
async def port_to(
    relay: Relay, latch: Latch, dialect: Dialect, *, is_bundle: bool = True, timeout_s: float = 5.0
) -> AsyncIterator[RelayPort]:
    key = LocalKey.generate()
    settings = RelaySettings(
        name="builder",
        dialect=dialect,
        endpoints=(Endpoint.parse(relay.url),),
        is_bundle=is_bundle,
        builders=("one", "two"),
        authorization=Secret(AUTHORIZATION) if dialect is Dialect.BLOXROUTE else None,
        answer_timeout_s=timeout_s,
    )
    signs = dialect in (Dialect.FLASHBOTS, Dialect.MEV_SHARE)
    identity = RelayIdentity(Address(key.address), key.sign_digest) if signs else None
    port = RelayPort(RelayForm(settings, identity), latch, clock=SystemClock())
    try:
        yield port
    finally:
        await port.close()


def write_of(
    signed: SignedTransaction,
    target: int,
    *,
    is_bundle: bool = True,
    before: tuple[bytes, ...] = (),
    kind: WriteKind = WriteKind.PLAN,
    valid_until_s: int = FOREVER_S,
) -> SignedWrite:
    terms = PrivateTerms("builder", is_bundle, target, target + 3, UUID, before)
    return SignedWrite(kind, Hash(signed.hash), signed.raw, valid_until_s, terms=terms)


def signed_by(anvil: Anvil, count: int = 1, to: Address = TARGET) -> list[SignedTransaction]:
    key = anvil.funded_key()
    return key.sign_transactions([transaction(nonce, to, value_wei=1) for nonce in range(count)])


def landed(anvil: Anvil, signed: SignedTransaction) -> bool:
    return anvil.rpc("eth_getTransactionReceipt", hex_text(signed.hash)) is not None


@pytest.mark.parametrize(("dialect", "is_bundle"), SPOKEN, ids=str)
async def test_each_dialect_is_taken_and_lands_without_the_public_pool(
    anvil: Anvil, relay: Relay, latch: Latch, dialect: Dialect, is_bundle: bool
) -> None:
    (signed,) = signed_by(anvil)
    async with port_to(relay, latch, dialect, is_bundle=is_bundle) as port:
        (result,) = await port.write([write_of(signed, relay.number() + 1, is_bundle=is_bundle)])
    assert (result.answer, result.message) == (WriteAnswer.ACCEPTED, "")
    assert (relay.turned_away, anvil.knows(signed.hash)) == ([], False)
    relay.seal()
    assert landed(anvil, signed)


@pytest.mark.parametrize(("dialect", "is_bundle"), [SPOKEN[0], SPOKEN[1], SPOKEN[2]], ids=str)
async def test_what_is_withdrawn_by_its_sender_does_not_land(
    anvil: Anvil, relay: Relay, latch: Latch, dialect: Dialect, is_bundle: bool
) -> None:
    (signed,) = signed_by(anvil)
    unwanted = Withdrawal("builder", is_bundle, Hash(signed.hash), UUID)
    async with port_to(relay, latch, dialect, is_bundle=is_bundle) as port:
        await port.write([write_of(signed, relay.number() + 1, is_bundle=is_bundle)])
        async with port_to(relay, latch, dialect, is_bundle=is_bundle) as somebody_else:
            assert "refused" in await somebody_else.withdraw(unwanted)
        assert len(relay.held) == 1
        latch.lower(Authority.HALT, "withdrawing is no write of signed bytes", "tester")
        assert await port.withdraw(unwanted) == "withdrawn"
    relay.seal()
    assert not landed(anvil, signed)


async def test_newer_bundle_of_the_same_name_replaces_the_older_one(
    anvil: Anvil, relay: Relay, latch: Latch
) -> None:
    key = anvil.funded_key()
    cheap, dear = key.sign_transactions([transaction(0, TARGET, fee_gwei=fee) for fee in (20, 30)])
    async with port_to(relay, latch, Dialect.FLASHBOTS) as port:
        for signed in (cheap, dear):
            await port.write([write_of(signed, relay.number() + 1)])
    assert [one.hashes for one in relay.held] == [[hex_text(dear.hash)]]
    relay.seal()
    assert (landed(anvil, cheap), landed(anvil, dear)) == (False, True)


async def test_bundle_lands_whole_in_its_block(anvil: Anvil, relay: Relay, latch: Latch) -> None:
    first, second = signed_by(anvil, 2)
    async with port_to(relay, latch, Dialect.FLASHBOTS) as port:
        await port.write([write_of(second, relay.number() + 1, before=(first.raw,))])
    relay.seal()
    blocks = [anvil.rpc("eth_getTransactionReceipt", hex_text(each.hash)) for each in (first, second)]
    assert blocks[0]["blockNumber"] == blocks[1]["blockNumber"]  # type: ignore[index]


async def test_bundle_of_which_one_part_reverts_is_dropped_whole(
    anvil: Anvil, relay: Relay, latch: Latch
) -> None:
    anvil.set_code(TARGET, REVERTS)
    key = anvil.funded_key()
    fine, reverting = key.sign_transactions(
        [transaction(0, Address(b"\x22" * 20), value_wei=1), transaction(1, TARGET)]
    )
    async with port_to(relay, latch, Dialect.FLASHBOTS) as port:
        await port.write([write_of(reverting, relay.number() + 1, before=(fine.raw,))])
    relay.seal()
    assert len(relay.dropped) == 1
    assert not landed(anvil, fine)
    assert anvil.number("eth_getTransactionCount", hex_text(key.address), "latest") == 0
    assert not anvil.knows(fine.hash), "nothing of it is left in the pool"


async def test_request_that_another_key_signed_is_turned_away(
    anvil: Anvil, relay: Relay, latch: Latch
) -> None:
    (signed,) = signed_by(anvil)
    mine, other = LocalKey.generate(), LocalKey.generate()
    settings = RelaySettings("builder", Dialect.FLASHBOTS, (Endpoint.parse(relay.url),), True)
    form = RelayForm(settings, RelayIdentity(Address(mine.address), other.sign_digest))
    port = RelayPort(form, latch, clock=SystemClock())
    try:
        (result,) = await port.write([write_of(signed, 1)])
    finally:
        await port.close()
    assert result.answer is not WriteAnswer.ACCEPTED
    assert "signature check" in result.message
    assert (len(relay.turned_away), relay.held) == (1, [])


@pytest.mark.parametrize(
    ("mode", "message"), [(Mode.REFUSES, "we do not like it"), (Mode.RUBBISH, "no usable answer")]
)
async def test_what_a_relay_says_amiss_leaves_the_bytes_unknown(
    anvil: Anvil, relay: Relay, latch: Latch, mode: Mode, message: str
) -> None:
    (signed,) = signed_by(anvil)
    relay.mode = mode
    async with port_to(relay, latch, Dialect.FLASHBOTS) as port:
        (result,) = await port.write([write_of(signed, 1)])
    assert result.answer is WriteAnswer.UNKNOWN
    assert message in result.message


async def test_relay_that_hangs_is_waited_for_in_bounds_and_holds_up_no_public_write(
    anvil: Anvil, relay: Relay, latch: Latch
) -> None:
    (signed,) = signed_by(anvil)
    relay.mode = Mode.HANGS

    class Public:
        async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
            return [WriteResult(write.hash, WriteAnswer.ACCEPTED) for write in writes]

        async def close(self) -> None:
            return

    async with port_to(relay, latch, Dialect.FLASHBOTS, timeout_s=0.3) as port:
        routed = RoutedPort(Public(), {"builder": port})
        public = SignedWrite(WriteKind.PLAN, Hash(b"\x01" * 32), b"\x01", FOREVER_S)
        (accepted,) = await routed.write([public])
        (result,) = await routed.write([write_of(signed, 1)])
    assert (accepted.answer, result.answer) == (WriteAnswer.ACCEPTED, WriteAnswer.UNKNOWN)


async def test_nothing_signed_is_written_to_a_relay_after_a_stop(
    anvil: Anvil, relay: Relay, latch: Latch
) -> None:
    first, second = signed_by(anvil, 2)
    async with port_to(relay, latch, Dialect.FLASHBOTS) as port:
        (before,) = await port.write([write_of(first, relay.number() + 1)])
        latch.lower(Authority.REDUCE_ONLY, "test", "tester")
        (reducing,) = await port.write([write_of(first, relay.number() + 1, kind=WriteKind.REDUCING)])
        (plan,) = await port.write([write_of(second, relay.number() + 1)])
        latch.lower(Authority.HALT, "test", "tester")
        (halted,) = await port.write([write_of(first, relay.number() + 1, kind=WriteKind.REDUCING)])
    answers = [result.answer for result in (before, reducing, plan, halted)]
    taken, latched = WriteAnswer.ACCEPTED, WriteAnswer.LATCHED
    assert answers == [taken, taken, latched, latched]
    assert len(relay.received) == 2


async def test_no_byte_of_a_bundle_is_written_after_a_stop_has_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    plain_send = Connection.send

    def counted(connection: Connection, piece: memoryview) -> int:
        taken.append(plain_send(connection, piece))
        return taken[-1]

    monkeypatch.setattr(Connection, "send", counted)
    key = LocalKey.generate()
    raws = tuple(bytes([2, number]) * 20_000 for number in range(4))
    told = 0
    with raw_server(Peer.drain) as server:
        settings = RelaySettings(
            "builder", Dialect.FLASHBOTS, (Endpoint.parse(server.url),), True, answer_timeout_s=0.05
        )
        form = RelayForm(settings, RelayIdentity(Address(key.address), key.sign_digest))
        for trial in range(RACES):
            latch = Latch(tmp_path / f"latch-{trial}")
            port = RelayPort(form, latch, clock=SystemClock())
            terms = PrivateTerms("builder", True, 1, 1, UUID, raws[:-1])
            write = SignedWrite(WriteKind.PLAN, Hash(keccak256(raws[-1])), raws[-1], FOREVER_S, terms=terms)
            writing = asyncio.create_task(port.write([write]))
            await asyncio.sleep(random.Random(trial).random() * 0.004)  # some stops come first, some in it
            await asyncio.to_thread(latch.lower, Authority.HALT, "race", "tester")
            before = len(taken)
            (result,) = await writing
            await port.close()
            assert len(taken) == before, f"trial {trial}"
            told += result.answer in (WriteAnswer.LATCHED, WriteAnswer.UNKNOWN)
    assert told == RACES, "cut off, or without an answer: never taken, and never an error"


async def test_bytes_whose_verdict_is_over_are_not_written(anvil: Anvil, relay: Relay, latch: Latch) -> None:
    (signed,) = signed_by(anvil)
    async with port_to(relay, latch, Dialect.FLASHBOTS) as port:
        (result,) = await port.write([write_of(signed, 1, valid_until_s=1_000_000_000)])
    assert (result.answer, relay.received) == (WriteAnswer.UNSENT, [])


async def test_private_write_without_its_relay_stays_unsent(anvil: Anvil, latch: Latch) -> None:
    (signed,) = signed_by(anvil)

    class Nobody:
        async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
            raise AssertionError("a private write went public")

        async def close(self) -> None:
            return

    routed = RoutedPort(Nobody(), {})
    (result,) = await routed.write([write_of(signed, 1)])
    assert result.answer is WriteAnswer.UNSENT
    assert not anvil.knows(signed.hash)


async def test_authorization_that_a_relay_echoes_does_not_come_back(
    anvil: Anvil, relay: Relay, latch: Latch, monkeypatch: pytest.MonkeyPatch
) -> None:
    (signed,) = signed_by(anvil)

    def echoes(self: Relay, method: str, body: bytes, headers: dict[str, str]) -> str:
        raise ValueError(f"bad header {headers['authorization']}")

    monkeypatch.setattr(Relay, "_who", echoes)
    async with port_to(relay, latch, Dialect.BLOXROUTE) as port:
        (result,) = await port.write([write_of(signed, 1)])
    assert AUTHORIZATION not in repr(result)
    assert "***" in result.message
