"""A market that the devnet does not have from the beginning: a new Uniswap V2 pair, filled by the owner."""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressEntry, AddressKind
from seawall.native import encode_call, keccak256
from seawall.primitives.errors import InputError
from seawall.primitives.units import Address
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.deployer import FOREVER_S
from seawall.rollout.devnet.lifecycle import Devnet

__all__ = ["open_market"]

_SOURCE: Final = "uniswap_v2_factory"


def open_market(devnet: Devnet, token: str, amount: int, against: str, against_amount: int) -> Address:
    """Of tokens by name, in their smallest units; the book calls it `uniswap_v2_TOKEN_AGAINST`."""
    book, rpc = devnet.book, devnet.rpc
    name = f"uniswap_v2_{token}_{against}"
    pair = (book.address(token), book.address(against))
    view = encode_call("getPair(address,address)", pair)
    if any(rpc.view(book.address(_SOURCE), view)):
        raise InputError(f"{token} and {against} have a pair already", "devnet", "trade in that one")
    router = book.address("uniswap_v2_router")
    for one, much in zip(pair, (amount, against_amount), strict=True):
        call = encode_call("approve(address,uint256)", (router, much))
        rpc.settle([rpc.send(OWNER, one, call)], mine=True)
    call = encode_call(
        "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)",
        (*pair, amount, against_amount, 0, 0, OWNER, FOREVER_S),
    )
    rpc.settle([rpc.send(OWNER, router, call)], mine=True)
    found = Address(rpc.view(book.address(_SOURCE), view)[12:32])
    (code,) = rpc.codes([found])
    source = book["uniswap_v2_weth_usdx"].source
    book.put(AddressEntry(book.chain_id, name, found, AddressKind.POOL, source, keccak256(code)))
    book.write(devnet.info.addresses)
    return found
