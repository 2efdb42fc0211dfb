"""Uniswap V2 and V3 from their authors' packages, with funded markets.

The V3 pools hold liquidity in nested ranges around the price, so that a swap of ordinary size crosses ticks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.native import keccak256
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.deployer import ETHER, FOREVER_S, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import ETH_PRICE_USDX, USDX_UNIT
from seawall.rollout.devnet.toolchain import Artifact

__all__ = ["V2_INIT_CODE_HASH", "V3_INIT_CODE_HASH", "deploy_v2", "deploy_v3"]

# Mainnet's: periphery and off-chain code derive pool addresses from them.
V2_INIT_CODE_HASH: Final = bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f")
V3_INIT_CODE_HASH: Final = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")

V2_WETH_WEI: Final = 2_000 * ETHER
V2_ETHX_WEI: Final = 1_000 * ETHER

_V2_CORE: Final = "@uniswap/v2-core"
_V2_PERIPHERY: Final = "@uniswap/v2-periphery"
_V3_CORE: Final = "@uniswap/v3-core"
_V3_PERIPHERY: Final = "@uniswap/v3-periphery"
_V3_ROUTER: Final = "@uniswap/swap-router-contracts"


@dataclass(frozen=True, slots=True)
class _Range:
    """One position around the current price."""

    width_bps: int
    """Distance of each end from the price; 0 covers every price."""
    amount_wei: int
    """Of the first token."""


@dataclass(frozen=True, slots=True)
class _Market:
    tokens: tuple[str, str]
    """The first is worth as much as WETH."""
    fee_pips: int
    tick_spacing: int
    ranges: tuple[_Range, ...]

    @property
    def name(self) -> str:
        return f"uniswap_v3_{'_'.join(self.tokens)}_{self.fee_pips}"


_MARKETS: Final = (
    _Market(
        ("weth", "usdx"),
        3000,
        60,
        (_Range(0, 400 * ETHER), _Range(1_000, 400 * ETHER), _Range(200, 300 * ETHER)),
    ),
    _Market(
        ("weth", "usdx"),
        500,
        10,
        (_Range(0, 200 * ETHER), _Range(500, 600 * ETHER), _Range(100, 400 * ETHER)),
    ),
    # Neither of the two can be sent along with a call.
    _Market(("ethx", "usdx"), 3000, 60, (_Range(0, 400 * ETHER), _Range(300, 300 * ETHER))),
)
_TICK_MAX: Final = 887_272


def deploy_v2(deployer: Deployer) -> None:
    """Factory, router, and the pairs WETH/USDX and WETH/ETHX."""
    tools, book = deployer.toolchain, deployer.book
    pair = tools.package_artifact(_V2_CORE, "build/UniswapV2Pair.json")
    _require_init_code_hash(pair, V2_INIT_CODE_HASH)
    factory = deployer.deploy(
        "uniswap_v2_factory",
        AddressKind.FACTORY,
        tools.package_artifact(_V2_CORE, "build/UniswapV2Factory.json"),
        ("address",),
        OWNER,
    )
    router = deployer.deploy(
        "uniswap_v2_router",
        AddressKind.ROUTER,
        tools.package_artifact(_V2_PERIPHERY, "build/UniswapV2Router02.json"),
        ("address", "address"),
        factory,
        book.address("weth"),
    )
    _approve(deployer, router)
    weth = book.address("weth")
    for name, other, weth_wei, other_amount in (
        ("uniswap_v2_weth_usdx", book.address("usdx"), V2_WETH_WEI, _usdx(V2_WETH_WEI)),
        ("uniswap_v2_weth_ethx", book.address("ethx"), V2_ETHX_WEI, V2_ETHX_WEI),
    ):
        deployer.send(
            router,
            "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)",
            weth,
            other,
            weth_wei,
            other_amount,
            0,
            0,
            OWNER,
            FOREVER_S,
        )
        deployed = deployer.view_address(factory, "getPair(address,address)", weth, other)
        deployer.record(name, AddressKind.POOL, deployed, pair.source)


def deploy_v3(deployer: Deployer) -> None:
    """Factory, position manager, router, quoter, and their markets."""
    tools, book = deployer.toolchain, deployer.book
    pool = tools.package_artifact(_V3_CORE, "artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json")
    _require_init_code_hash(pool, V3_INIT_CODE_HASH)
    weth = book.address("weth")
    factory = deployer.deploy(
        "uniswap_v3_factory",
        AddressKind.FACTORY,
        tools.package_artifact(_V3_CORE, "artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json"),
    )
    positions = deployer.deploy(
        "uniswap_v3_positions",
        AddressKind.POSITIONS,
        _periphery(deployer, "NonfungiblePositionManager.sol/NonfungiblePositionManager.json"),
        ("address", "address", "address"),
        factory,
        weth,
        Address(bytes(20)),
    )
    deployer.deploy(
        "uniswap_v3_router",
        AddressKind.ROUTER,
        tools.package_artifact(_V3_ROUTER, "artifacts/contracts/SwapRouter02.sol/SwapRouter02.json"),
        ("address", "address", "address", "address"),
        book.address("uniswap_v2_factory"),
        factory,
        positions,
        weth,
    )
    deployer.deploy(
        "uniswap_v3_quoter",
        AddressKind.QUOTER,
        _periphery(deployer, "lens/QuoterV2.sol/QuoterV2.json"),
        ("address", "address"),
        factory,
        weth,
    )
    _approve(deployer, positions)
    for market in _MARKETS:
        _open_market(deployer, positions, market)
        tokens = (book.address(token) for token in market.tokens)
        deployed = deployer.view_address(factory, "getPool(address,address,uint24)", *tokens, market.fee_pips)
        deployer.record(market.name, AddressKind.POOL, deployed, pool.source)


def _open_market(deployer: Deployer, positions: Address, market: _Market) -> None:
    ether_like, dollars = (deployer.book.address(token) for token in market.tokens)
    in_order = ether_like < dollars
    token0, token1 = (ether_like, dollars) if in_order else (dollars, ether_like)
    unit0, unit1 = (ETHER, _usdx(ETHER)) if in_order else (_usdx(ETHER), ETHER)
    deployer.send(
        positions,
        "createAndInitializePoolIfNecessary(address,address,uint24,uint160)",
        token0,
        token1,
        market.fee_pips,
        math.isqrt((unit1 << 192) // unit0),
    )
    for position in market.ranges:
        amounts = (position.amount_wei, _usdx(position.amount_wei))
        amount0, amount1 = amounts if in_order else amounts[::-1]
        lower, upper = _ticks(unit1 / unit0, position.width_bps, market.tick_spacing)
        deployer.send(
            positions,
            "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))",
            (token0, token1, market.fee_pips, lower, upper, amount0, amount1, 0, 0, OWNER, FOREVER_S),
        )


def _ticks(price: float, width_bps: int, spacing: int) -> tuple[int, int]:
    """Usable ticks around a price; floats are good enough, since ends are rounded to the spacing anyway."""
    if width_bps == 0:
        end = _TICK_MAX // spacing * spacing
        return -end, end
    centre, width = math.log(price, 1.0001), math.log(1 + width_bps / 10_000, 1.0001)
    return math.floor((centre - width) / spacing) * spacing, math.ceil((centre + width) / spacing) * spacing


def _usdx(weth_wei: int) -> int:
    return weth_wei * ETH_PRICE_USDX * USDX_UNIT // ETHER


def _approve(deployer: Deployer, spender: Address) -> None:
    for token in ("weth", "usdx", "ethx"):
        deployer.send(deployer.book.address(token), "approve(address,uint256)", spender, UNLIMITED)


def _periphery(deployer: Deployer, path: str) -> Artifact:
    return deployer.toolchain.package_artifact(_V3_PERIPHERY, f"artifacts/contracts/{path}")


def _require_init_code_hash(pool: Artifact, expected: bytes) -> None:
    if keccak256(pool.creation_code) != expected:
        raise RolloutError(
            "the pool's creation code is not the one deployed on mainnet",
            pool.source,
            "install the pinned packages: `make setup`",
        )
