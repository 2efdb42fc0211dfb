"""Small contracts as bytes, and a world in memory to run them in."""

from __future__ import annotations

from seawall.native import AccountState, BlockEnvironment, Evm, EvmTransaction, Execution, Missing

ETHER = 10**18
CHAIN_ID = 31337
SENDER = b"\x11" * 20
OTHER = b"\x22" * 20
CONTRACT = b"\xc0" * 20
COINBASE = b"\xcb" * 20
BASE_HASH = b"\xb1" * 32
GAS_PRICE_WEI = 2 * 10**9

# writes its second word to the slot that its first word names
STORE = bytes.fromhex("60203560003555" + "00")
# returns the slot that its first word names
LOAD = bytes.fromhex("6000355460005260206000f3")
# returns transient slot 0 as it was, then sets it to 1
TRANSIENT = bytes.fromhex("5f5c5f5260015f5d60205ff3")
# returns the hash of the block that its first word names
BLOCK_HASH = bytes.fromhex("600035405f5260205ff3")
# never ends
LOOP = bytes.fromhex("5b600056")
# reverts with its calldata
ECHO_REVERT = bytes.fromhex("365f5f37365ffd")
# passes its value on to the address in its first word
FORWARD = bytes.fromhex("5f5f5f5f345f355af15000")
# destroys itself in favour of the address in its first word
DESTROY = bytes.fromhex("5f35ff")
# returns the balance of the block's beneficiary
COINBASE_BALANCE = bytes.fromhex("41315f5260205ff3")


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def block(hardfork: str = "cancun", base_fee_wei: int = 10**9) -> BlockEnvironment:
    return BlockEnvironment(
        number=100,
        timestamp_s=1_700_000_000,
        base_fee_wei=base_fee_wei,
        gas_limit=30_000_000,
        coinbase=COINBASE,
        prevrandao=b"\xaa" * 32,
        hardfork=hardfork,
        blob_base_fee_wei=7,
    )


def evm(code: bytes = b"", hardfork: str = "cancun", base_fee_wei: int = 10**9) -> Evm:
    """SENDER and CONTRACT hold 10 ether each; OTHER and COINBASE are known to be empty."""
    machine = Evm(CHAIN_ID)
    machine.pin(block(hardfork, base_fee_wei), BASE_HASH)
    machine.load(
        [
            AccountState(SENDER, 10 * ETHER, 0),
            AccountState(CONTRACT, 10 * ETHER, 1),
            AccountState(OTHER, 0, 0),
            AccountState(COINBASE, 0, 0),
        ],
        codes=[(SENDER, b""), (CONTRACT, code), (OTHER, b""), (COINBASE, b"")],
    )
    return machine


def call(
    data: bytes = b"",
    *,
    to: bytes | None = CONTRACT,
    value_wei: int = 0,
    gas_limit: int = 200_000,
    gas_price_wei: int = GAS_PRICE_WEI,
    nonce: int | None = None,
) -> EvmTransaction:
    return EvmTransaction(SENDER, to, data, value_wei, gas_limit, gas_price_wei, nonce)


def executed(answer: Execution | Missing) -> Execution:
    assert isinstance(answer, Execution), answer
    return answer


def missed(answer: Execution | Missing) -> Missing:
    assert isinstance(answer, Missing), answer
    return answer
