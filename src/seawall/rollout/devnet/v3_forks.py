"""Forks of Uniswap V3 that put other words into the salt of their pools: PancakeSwap V3 and Slipstream.

Pancake's factory and pools are the true ones; what creates the pools for it is a stand-in, as nobody
publishes it. Slipstream is published nowhere ready to deploy: its factory is a stand-in, and its pools are
Uniswap's own under its addresses. Liquidity is brought by a contract of this repository, without a manager of
positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.native import keccak256
from seawall.primitives.units import Address, hex_text
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.deployer import ETHER, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import ETH_PRICE_USDX, USDX_UNIT
from seawall.rollout.devnet.toolchain import Artifact

__all__ = ["deploy_v3_forks"]

PANCAKE_FEE_PIPS: Final = 2_500
SLIPSTREAM_SPACING: Final = 100
SLIPSTREAM_FEE_PIPS: Final = 380
LIQUIDITY: Final = 3 * 10**17
# Distances of the ends from the price [tick spacings].
WIDTHS: Final = (4, 40)

# One transaction should not carry all of a pool's creation code into storage.
_PIECE_BYTES: Final = 6_000
_TICK_BASE: Final = 1.0001
_CREATE_PANCAKE: Final = "createPool(address,address,uint24)"
_CREATE_SLIPSTREAM: Final = "createPool(address,address,int24)"


@dataclass(frozen=True, slots=True)
class _Pool:
    address: Address
    tick_spacing: int


def deploy_v3_forks(deployer: Deployer) -> None:
    """WETH and USDX on both, in two ranges around the price."""
    tools, tokens = deployer.toolchain, ("weth", "usdx")
    bringer = deployer.deploy("v3_bringer", AddressKind.ROUTER, deployer.compiled["V3Bringer"])
    for token in tokens:
        deployer.send(deployer.book.address(token), "approve(address,uint256)", bringer, UNLIMITED)
    pancake = tools.package_artifact(
        "@pancakeswap/v3-core", "artifacts/contracts/PancakeV3Pool.sol/PancakeV3Pool.json"
    )
    uniswap = tools.package_artifact(
        "@uniswap/v3-core", "artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json"
    )
    for pool in (_pancake(deployer, pancake), _slipstream(deployer, uniswap)):
        _fill(deployer, bringer, pool)


def _pancake(deployer: Deployer, pool: Artifact) -> _Pool:
    creator = _creator(deployer, "pancake_v3_deployer", AddressKind.AUTHORITY, "PancakeV3Deployer", pool)
    factory = deployer.deploy(
        "pancake_v3_factory",
        AddressKind.FACTORY,
        deployer.toolchain.package_artifact(
            "@pancakeswap/v3-core", "artifacts/contracts/PancakeV3Factory.sol/PancakeV3Factory.json"
        ),
        ("address",),
        creator,
    )
    deployer.send(creator, "setFactoryAddress(address)", factory)
    tokens = tuple(deployer.book.address(token) for token in ("weth", "usdx"))
    created = deployer.view_address(factory, _CREATE_PANCAKE, *tokens, PANCAKE_FEE_PIPS)
    deployer.send(factory, _CREATE_PANCAKE, *tokens, PANCAKE_FEE_PIPS)
    deployer.record(f"pancake_v3_weth_usdx_{PANCAKE_FEE_PIPS}", AddressKind.POOL, created, pool.source)
    return _Pool(created, 50)


def _slipstream(deployer: Deployer, pool: Artifact) -> _Pool:
    factory = _creator(deployer, "slipstream_factory", AddressKind.FACTORY, "SlipstreamFactory", pool)
    tokens = tuple(deployer.book.address(token) for token in ("weth", "usdx"))
    deployer.send(factory, "enableTickSpacing(int24,uint24)", SLIPSTREAM_SPACING, SLIPSTREAM_FEE_PIPS)
    created = deployer.view_address(factory, _CREATE_SLIPSTREAM, *tokens, SLIPSTREAM_SPACING)
    deployer.send(factory, _CREATE_SLIPSTREAM, *tokens, SLIPSTREAM_SPACING)
    deployer.record(f"slipstream_weth_usdx_{SLIPSTREAM_SPACING}", AddressKind.POOL, created, pool.source)
    return _Pool(created, SLIPSTREAM_SPACING)


def _creator(deployer: Deployer, name: str, kind: AddressKind, contract: str, pool: Artifact) -> Address:
    """One that creates pools of this code; the code's hash is its reference in the book."""
    artifact = deployer.compiled[contract]
    creator = deployer.create(artifact, ("address",), OWNER)
    for start in range(0, len(pool.creation_code), _PIECE_BYTES):
        deployer.send(creator, "append(bytes)", pool.creation_code[start : start + _PIECE_BYTES])
    reference = hex_text(keccak256(pool.creation_code))
    deployer.record(name, kind, creator, artifact.source, reference=reference)
    return creator


def _fill(deployer: Deployer, bringer: Address, pool: _Pool) -> None:
    weth, usdx = (deployer.book.address(token) for token in ("weth", "usdx"))
    unit0, unit1 = (ETHER, ETH_PRICE_USDX * USDX_UNIT) if weth < usdx else (ETH_PRICE_USDX * USDX_UNIT, ETHER)
    deployer.send(pool.address, "initialize(uint160)", math.isqrt((unit1 << 192) // unit0))
    # Floats are good enough: ends are rounded to the spacing anyway.
    centre = math.floor(math.log(unit1 / unit0, _TICK_BASE) / pool.tick_spacing)
    for width in WIDTHS:
        ends = ((centre - width) * pool.tick_spacing, (centre + width) * pool.tick_spacing)
        deployer.send(bringer, "bring(address,int24,int24,uint128)", pool.address, *ends, LIQUIDITY)
