"""Many contracts at one block, on a true node with the true Multicall3: the same values however they are
read, and those of the block that was pinned, whatever happens after it."""

from __future__ import annotations

from seawall.chain.client import ChainClient
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.native import abi_decode, encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address
from seawall.protocols.snapshots import BUNDLE_READS_MAX, snapshot
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.rpc import DevnetRpc

CHAIN_ID = 31_337
HOLDER = Address(b"\x5d" * 20)
MINTED = 77


def balance(label: str, token: Address, holder: Address) -> Read:
    return Read(label, token, encode_call("balanceOf(address)", (holder,)))


async def test_snapshot_is_of_its_block_and_the_same_with_and_without_multicall(devnet: Devnet) -> None:
    book = devnet.book
    usdx, weth, multicall = (book.address(name) for name in ("usdx", "weth", "multicall3"))
    reads = [
        balance("usdx", usdx, HOLDER),
        balance("weth", weth, OWNER),
        Read("supply", usdx, encode_call("totalSupply()", ())),
        Read("no such method", weth, encode_call("nothingLikeIt()", ())),
        *(balance(str(n), usdx, Address(n.to_bytes(20, "big"))) for n in range(1, 2 * BUNDLE_READS_MAX)),
    ]
    pool = RpcPool([HttpTransport(devnet.info.rpc_url)], chain_id=CHAIN_ID, clock=SystemClock())
    client = ChainClient(pool, NETWORKS[CHAIN_ID])
    try:
        before = await client.head()
        with DevnetRpc(devnet.info.rpc_url) as rpc:
            mint = encode_call("mint(address,uint256)", (HOLDER, MINTED))
            rpc.settle([rpc.send(OWNER, usdx, mint)], mine=True)
        after = await client.head()
        found = {}
        for block in (before, after):
            found[block] = (await snapshot(client, reads, block, multicall)).values
            assert found[block] == (await snapshot(client, reads, block, None)).values
        assert [_number(found[block]["usdx"]) for block in (before, after)] == [0, MINTED]
        assert _number(found[after]["supply"]) - _number(found[before]["supply"]) == MINTED
    finally:
        await pool.close()


def _number(answer: bytes | None) -> int:
    assert answer is not None
    (value,) = abi_decode(("uint256",), answer)
    assert isinstance(value, int)
    return value
