"""Further exchanges beside Uniswap V2 and V3, and tokens that do not keep to ERC-20 for trying adapters.

Sushi is the true Uniswap V2 deployed once more, as it is on most chains. Solidly's and Camelot's pairs,
factories and routers are stand-ins of this repository: their authors publish no package.
"""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.primitives.units import Address
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.deployer import ETHER, FOREVER_S, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import ETH_PRICE_USDX, USDX_UNIT

__all__ = ["deploy_dexes", "deploy_odd_tokens"]

ODD_SUPPLY: Final = 1_000_000 * ETHER
SUSHI_WETH_WEI: Final = 500 * ETHER
PAIR_WETH_WEI: Final = 400 * ETHER
# In parts of 100,000.
CAMELOT_SELL_FEE: Final = 400
CAMELOT_BUY_FEE: Final = 250

_ODD_TOKENS: Final = (
    ("odd_fee", "FeeOnTransferToken", "FEE"),
    ("odd_silent", "SilentToken", "SILENT"),
    ("odd_false", "FalseReturningToken", "FALSE"),
)
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


def _fund_pair(deployer: Deployer, pair: Address, other: str, amount: int) -> None:
    for token, wanted in (("weth", PAIR_WETH_WEI), (other, amount)):
        deployer.send(deployer.book.address(token), "transfer(address,uint256)", pair, wanted)
    deployer.send(pair, "mint(address)", OWNER)


def _dollars(weth_wei: int) -> int:
    return weth_wei * ETH_PRICE_USDX * USDX_UNIT // ETHER


def _approve(deployer: Deployer, spender: Address) -> None:
    for token in ("weth", "usdx", "ethx"):
        deployer.send(deployer.book.address(token), "approve(address,uint256)", spender, UNLIMITED)
