"""Further exchanges beside Uniswap V2 and V3, and tokens that do not keep to ERC-20 for trying adapters.

Sushi is the true Uniswap V2 deployed once more, as it is on most chains. Solidly's, Camelot's and Velodrome's
pairs, factories and routers are stand-ins of this repository: their authors publish no package. Uniswap V4's
manager is true; the routers beside it are those of its authors' tests.
"""

from __future__ import annotations

import math
from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.native import keccak256
from seawall.primitives.units import ZERO_ADDRESS, Address, hex_text
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.deployer import ETHER, FOREVER_S, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import ETH_PRICE_USDX, USDX_UNIT
from seawall.rollout.devnet.toolchain import Artifact

__all__ = ["deploy_dexes", "deploy_odd_tokens"]

ODD_SUPPLY: Final = 1_000_000 * ETHER
SUSHI_WETH_WEI: Final = 500 * ETHER
PAIR_WETH_WEI: Final = 400 * ETHER
# In parts of 100,000.
CAMELOT_SELL_FEE: Final = 400
CAMELOT_BUY_FEE: Final = 250
VELODROME_FEE_BPS: Final = 27
# What its factory takes for a fee of nothing.
VELODROME_NO_FEE: Final = 420

_ODD_TOKENS: Final = (
    ("odd_fee", "FeeOnTransferToken", "FEE"),
    ("odd_silent", "SilentToken", "SILENT"),
    ("odd_false", "FalseReturningToken", "FALSE"),
)
V4_FEE_PIPS: Final = 500
V4_TICK_SPACING: Final = 10
V4_SELL_PIPS: Final = 100
V4_BUY_PIPS: Final = 60
# The tick of 2,500 dollars of six decimals a coin, rounded to the spacing.
V4_CENTRE_TICK: Final = -198_080
V4_WIDTHS: Final = (500, 10_000)
V4_LIQUIDITY: Final = 10**17
V4_COINS_WEI: Final = 5_000 * ETHER

_V4_KEY: Final = "(address,address,uint24,int24,address)"
_V2_CORE: Final = "@uniswap/v2-core"
_V2_PERIPHERY: Final = "@uniswap/v2-periphery"


def deploy_odd_tokens(deployer: Deployer) -> None:
    """All of each belongs to the owner; no market trades them."""
    for name, contract, symbol in _ODD_TOKENS:
        artifact = deployer.compiled[contract]
        deployer.deploy(
            name,
            AddressKind.TOKEN,
            artifact,
            ("address", "uint256"),
            OWNER,
            ODD_SUPPLY,
            decimals=18,
            symbol=symbol,
        )


def deploy_dexes(deployer: Deployer) -> None:
    _deploy_sushi(deployer)
    _deploy_solidly(deployer)
    _deploy_camelot(deployer)
    _deploy_v4(deployer)
    _deploy_velodrome(deployer)


def _deploy_sushi(deployer: Deployer) -> None:
    tools, book = deployer.toolchain, deployer.book
    weth, usdx = book.address("weth"), book.address("usdx")
    factory = deployer.deploy(
        "sushi_v2_factory",
        AddressKind.FACTORY,
        tools.package_artifact(_V2_CORE, "build/UniswapV2Factory.json"),
        ("address",),
        OWNER,
    )
    router = deployer.deploy(
        "sushi_v2_router",
        AddressKind.ROUTER,
        tools.package_artifact(_V2_PERIPHERY, "build/UniswapV2Router02.json"),
        ("address", "address"),
        factory,
        weth,
    )
    _approve(deployer, router)
    deployer.send(
        router,
        "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)",
        weth,
        usdx,
        SUSHI_WETH_WEI,
        _dollars(SUSHI_WETH_WEI),
        0,
        0,
        OWNER,
        FOREVER_S,
    )
    deployed = deployer.view_address(factory, "getPair(address,address)", weth, usdx)
    pair = tools.package_artifact(_V2_CORE, "build/UniswapV2Pair.json")
    deployer.record("sushi_v2_weth_usdx", AddressKind.POOL, deployed, pair.source)
    # Somebody claims the protocol's part, so that shares are minted to it before any others.
    deployer.send(factory, "setFeeTo(address)", OWNER)


def _deploy_solidly(deployer: Deployer) -> None:
    """WETH and USDX volatile, WETH and ETHX stable."""
    book = deployer.book
    factory = deployer.deploy(
        "solidly_factory", AddressKind.FACTORY, deployer.compiled["SolidlyFactory"], ("address",), OWNER
    )
    deployer.deploy(
        "solidly_router", AddressKind.ROUTER, deployer.compiled["SolidlyRouter"], ("address",), factory
    )
    amounts = {"usdx": _dollars(PAIR_WETH_WEI), "ethx": PAIR_WETH_WEI}
    for other, stable in (("usdx", False), ("ethx", True)):
        tokens = (book.address("weth"), book.address(other))
        deployer.send(factory, "createPair(address,address,bool)", *tokens, stable)
        pair = deployer.view_address(factory, "getPair(address,address,bool)", *tokens, stable)
        curve = "stable" if stable else "volatile"
        source = deployer.compiled["SolidlyPair"].source
        deployer.record(f"solidly_weth_{other}_{curve}", AddressKind.POOL, pair, source)
        _fund_pair(deployer, pair, other, amounts[other])


def _deploy_camelot(deployer: Deployer) -> None:
    """WETH and USDX volatile, dearer to sell WETH than to buy it; WETH and ETHX stable."""
    book = deployer.book
    factory = deployer.deploy(
        "camelot_factory", AddressKind.FACTORY, deployer.compiled["CamelotFactory"], ("address",), OWNER
    )
    deployer.deploy(
        "camelot_router", AddressKind.ROUTER, deployer.compiled["CamelotRouter"], ("address",), factory
    )
    amounts = {"usdx": _dollars(PAIR_WETH_WEI), "ethx": PAIR_WETH_WEI}
    for other, stable in (("usdx", False), ("ethx", True)):
        weth, token = book.address("weth"), book.address(other)
        deployer.send(factory, "createPair(address,address)", weth, token)
        pair = deployer.view_address(factory, "getPair(address,address)", weth, token)
        deployer.record(
            f"camelot_weth_{other}", AddressKind.POOL, pair, deployer.compiled["CamelotPair"].source
        )
        fees = (CAMELOT_SELL_FEE, CAMELOT_BUY_FEE)
        deployer.send(pair, "setFeePercent(uint16,uint16)", *(fees if weth < token else fees[::-1]))
        deployer.send(pair, "setStableSwap(bool)", stable)
        _fund_pair(deployer, pair, other, amounts[other])


def _deploy_velodrome(deployer: Deployer) -> None:
    """WETH and USDX volatile with a fee of the pool's own, WETH and ETHX stable with none."""
    book, compiled = deployer.book, deployer.compiled
    pool_code = compiled["VelodromePool"]
    factory = deployer.create(compiled["VelodromeFactory"], ("address",), OWNER)
    deployer.record(
        "velodrome_factory",
        AddressKind.FACTORY,
        factory,
        compiled["VelodromeFactory"].source,
        reference=hex_text(keccak256(pool_code.creation_code)),
    )
    deployer.deploy(
        "velodrome_router", AddressKind.ROUTER, compiled["VelodromeRouter"], ("address",), factory
    )
    amounts = {"usdx": _dollars(PAIR_WETH_WEI), "ethx": PAIR_WETH_WEI}
    for other, stable, fee in (("usdx", False, VELODROME_FEE_BPS), ("ethx", True, VELODROME_NO_FEE)):
        tokens = (book.address("weth"), book.address(other))
        deployer.send(factory, "createPool(address,address,bool)", *tokens, stable)
        pool = deployer.view_address(factory, "getPool(address,address,bool)", *tokens, stable)
        deployer.send(factory, "setCustomFee(address,uint256)", pool, fee)
        curve = "stable" if stable else "volatile"
        deployer.record(f"velodrome_weth_{other}_{curve}", AddressKind.POOL, pool, pool_code.source)
        _fund_pair(deployer, pool, other, amounts[other])


def _deploy_v4(deployer: Deployer) -> None:
    """The PoolManager, a pool of the native coin and USDX in two ranges, and its authors' test routers."""
    book = deployer.book
    usdx = book.address("usdx")
    manager = deployer.create(_v4_artifact(deployer, "PoolManager"), ("address",), OWNER)
    source = _v4_artifact(deployer, "PoolManager").source
    reference = f"native/usdx/{V4_FEE_PIPS}/{V4_TICK_SPACING}"
    deployer.record("uniswap_v4_manager", AddressKind.FACTORY, manager, source, reference=reference)
    for name, contract in (
        ("uniswap_v4_liquidity_router", "PoolModifyLiquidityTest"),
        ("uniswap_v4_swap_router", "PoolSwapTest"),
    ):
        artifact = _v4_artifact(deployer, contract)
        deployer.deploy(name, AddressKind.ROUTER, artifact, ("address",), manager)
        deployer.send(usdx, "approve(address,uint256)", book.address(name), UNLIMITED)
    key = (ZERO_ADDRESS, usdx, V4_FEE_PIPS, V4_TICK_SPACING, ZERO_ADDRESS)
    price_x96 = math.isqrt((ETH_PRICE_USDX * USDX_UNIT << 192) // ETHER)
    deployer.send(manager, f"initialize({_V4_KEY},uint160)", key, price_x96)
    # The protocol's part when selling the native coin, and when buying it [pips].
    deployer.send(manager, "setProtocolFeeController(address)", OWNER)
    deployer.send(manager, f"setProtocolFee({_V4_KEY},uint24)", key, V4_BUY_PIPS << 12 | V4_SELL_PIPS)
    for width in V4_WIDTHS:
        ticks = (V4_CENTRE_TICK - width, V4_CENTRE_TICK + width)
        deployer.send(
            book.address("uniswap_v4_liquidity_router"),
            f"modifyLiquidity({_V4_KEY},(int24,int24,int256,bytes32),bytes)",
            key,
            (*ticks, V4_LIQUIDITY, bytes(32)),
            b"",
            value_wei=V4_COINS_WEI,
        )


def _v4_artifact(deployer: Deployer, contract: str) -> Artifact:
    return deployer.toolchain.package_artifact("@uniswap/v4-core", f"out/{contract}.sol/{contract}.json")


def _fund_pair(deployer: Deployer, pair: Address, other: str, amount: int) -> None:
    for token, wanted in (("weth", PAIR_WETH_WEI), (other, amount)):
        deployer.send(deployer.book.address(token), "transfer(address,uint256)", pair, wanted)
    deployer.send(pair, "mint(address)", OWNER)


def _dollars(weth_wei: int) -> int:
    return weth_wei * ETH_PRICE_USDX * USDX_UNIT // ETHER


def _approve(deployer: Deployer, spender: Address) -> None:
    for token in ("weth", "usdx", "ethx"):
        deployer.send(deployer.book.address(token), "approve(address,uint256)", spender, UNLIMITED)
