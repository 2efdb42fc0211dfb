"""What a contract of the address book answers if it is what the book says: calls by kind, judged.

    known_reads(entry) -> reads of one block -> wrong_answers(entry, answers, book) -> sentences

A code hash says that a contract is the one that was looked at; a known call says that it is of the right kind
at all, which matters most where no hash was recorded yet. Where several families share a kind (pools of
different venues) one of their calls must answer. Kinds without calls that all of them have (lenders,
authorities, routers, quoters, batch contracts of Safes) are not asked: their code is what counts.

Sans-I/O. Deliberately no judgement of prices, balances or owners: those change by right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.native import AbiValue, abi_decode, encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import EncodingError
from seawall.primitives.units import ZERO_ADDRESS, Address, address_text
from seawall.protocols.answers import Answers

__all__ = ["known_reads", "wrong_answers"]

_WORD: Final = 32
# Of each kind, calls of which a contract must answer one at least: signature and arguments.
_ONE_OF: Final[Mapping[AddressKind, tuple[tuple[str, tuple[AbiValue, ...]], ...]]] = {
    AddressKind.FACTORY: (
        ("getPair(address,address)", (ZERO_ADDRESS, ZERO_ADDRESS)),  # Uniswap V2 and its forks
        ("getPair(address,address,bool)", (ZERO_ADDRESS, ZERO_ADDRESS, False)),  # Solidly
        ("getPool(address,address,bool)", (ZERO_ADDRESS, ZERO_ADDRESS, False)),  # its later forks
        ("feeAmountTickSpacing(uint24)", (3_000,)),  # Uniswap V3 and its forks
        ("tickSpacingToFee(int24)", (1,)),  # Slipstream
        ("poolByPair(address,address)", (ZERO_ADDRESS, ZERO_ADDRESS)),  # Algebra
        ("isPoolFromFactory(address)", (ZERO_ADDRESS,)),  # Balancer V2
        ("pool_count()", ()),  # Curve
        ("protocolFeesAccrued(address)", (ZERO_ADDRESS,)),  # Uniswap V4
        ("isMetaMorpho(address)", (ZERO_ADDRESS,)),
        ("templates(bytes32)", (bytes(32),)),  # our accounts
    ),
    AddressKind.POOL: (
        ("token0()", ()),  # Uniswap V2 and V3, Algebra, Solidly
        ("getPoolId()", ()),  # Balancer V2
        ("coins(uint256)", (0,)),  # Curve
    ),
    AddressKind.EXECUTOR: (("rolesOf(address)", (ZERO_ADDRESS,)),),
}
_TOKEN_CALLS: Final = ("totalSupply()", "decimals()", "symbol()")
_FEED_CALLS: Final = ("decimals()", "latestRoundData()")
_POOL_FACTORY: Final = "factory()"
_CHAIN_ID: Final = "getChainId()"
_SAFE_VERSION: Final = "VERSION()"
_SAFE_VERSIONS: Final = ("1.3.0", "1.4.1")


def known_reads(entry: AddressEntry) -> tuple[Read, ...]:
    """The calls that `wrong_answers` judges."""
    calls = list(_ONE_OF.get(entry.kind, ()))
    if entry.kind is AddressKind.TOKEN:
        calls += [(signature, ()) for signature in _TOKEN_CALLS]
    elif entry.kind is AddressKind.FEED:
        calls += [(signature, ()) for signature in _FEED_CALLS]
    elif entry.kind is AddressKind.POOL:
        calls.append((_POOL_FACTORY, ()))
    elif entry.kind is AddressKind.MULTICALL:
        calls.append((_CHAIN_ID, ()))
    elif entry.kind is AddressKind.SAFE:
        calls.append((_SAFE_VERSION, ()))
    return tuple(
        Read(_label(entry, signature), entry.address, encode_call(signature, values))
        for signature, values in calls
    )


def wrong_answers(entry: AddressEntry, answers: Answers, book: AddressBook) -> tuple[str, ...]:
    """What a contract answers that one of its kind does not, each in words; `answers` of `known_reads`."""
    choices = [signature for signature, _ in _ONE_OF.get(entry.kind, ())]
    problems = []
    if choices and not any(_word(entry, answers, signature) is not None for signature in choices):
        problems.append(f"it answers no call of a {entry.kind}: {', '.join(choices)}")
    if entry.kind is AddressKind.TOKEN:
        problems += _of_token(entry, answers)
    elif entry.kind is AddressKind.FEED:
        problems += _of_feed(entry, answers)
    elif entry.kind is AddressKind.POOL:
        problems += _of_pool(entry, answers, book)
    elif entry.kind is AddressKind.MULTICALL:
        chain_id = _word(entry, answers, _CHAIN_ID)
        if chain_id != book.chain_id:
            problems.append(f"{_CHAIN_ID} answers {_said(chain_id)} instead of {book.chain_id}")
    elif entry.kind is AddressKind.SAFE:
        version = _text(entry, answers, _SAFE_VERSION)
        if version is not None and version not in _SAFE_VERSIONS:
            problems.append(f"{_SAFE_VERSION} answers {version[:40]!r}: that version of Safe is not known")
    return tuple(problems)


def _of_token(entry: AddressEntry, answers: Answers) -> list[str]:
    problems = []
    if _word(entry, answers, "totalSupply()") is None:
        problems.append("totalSupply() does not answer")
    decimals = _word(entry, answers, "decimals()")
    if entry.decimals is not None and decimals != entry.decimals:
        problems.append(f"decimals() answers {_said(decimals)} instead of {entry.decimals}")
    symbol = _text(entry, answers, "symbol()")
    if entry.symbol is not None and symbol != entry.symbol:
        problems.append(f"symbol() answers {_said(symbol)} instead of {entry.symbol!r}")
    return problems


def _of_feed(entry: AddressEntry, answers: Answers) -> list[str]:
    problems = []
    decimals = _word(entry, answers, "decimals()")
    if decimals is None or (entry.decimals is not None and decimals != entry.decimals):
        problems.append(f"decimals() answers {_said(decimals)} instead of {entry.decimals or 'a number'}")
    answered = answers.get(_label(entry, "latestRoundData()"))
    try:
        values = abi_decode(("uint80", "int256", "uint256", "uint256", "uint80"), answered or b"")
    except EncodingError:
        problems.append("latestRoundData() answers no round")
    else:
        price, updated_at_s = values[1], values[3]
        if not isinstance(price, int) or price <= 0 or updated_at_s == 0:
            problems.append(f"latestRoundData() answers {price!r}, which is no price")
    return problems


def _of_pool(entry: AddressEntry, answers: Answers, book: AddressBook) -> list[str]:
    """Whoever made the pool must be of this book, where the pool says who did."""
    word = _word(entry, answers, _POOL_FACTORY)
    if word is None:
        return []
    factory = Address(word.to_bytes(_WORD)[12:])
    known = book.find(factory)
    if known is not None and known.kind is AddressKind.FACTORY:
        return []
    return [f"its factory {address_text(factory)} is none of this address book"]


def _label(entry: AddressEntry, signature: str) -> str:
    return f"{entry.name}:{signature}"


def _word(entry: AddressEntry, answers: Answers, signature: str) -> int | None:
    """The first word of the answer; None where the call reverted or answered with less."""
    answered = answers.get(_label(entry, signature))
    return None if answered is None or len(answered) < _WORD else int.from_bytes(answered[:_WORD])


def _text(entry: AddressEntry, answers: Answers, signature: str) -> str | None:
    """A text, also where it is an old token's 32 bytes."""
    answered = answers.get(_label(entry, signature))
    if answered is None or len(answered) < _WORD:
        return None
    if len(answered) == _WORD:
        return answered.rstrip(b"\0").decode(errors="replace")
    try:
        (value,) = abi_decode(("string",), answered)
    except EncodingError:
        return None
    return value if isinstance(value, str) else None


def _said(value: object) -> str:
    return "nothing" if value is None else f"{value!r:.60}"
