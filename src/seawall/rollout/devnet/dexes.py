"""Further exchanges beside Uniswap V2 and V3, and tokens that do not keep to ERC-20 for trying adapters.

Sushi is the true Uniswap V2 deployed once more, as it is on most chains.
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


def _dollars(weth_wei: int) -> int:
    return weth_wei * ETH_PRICE_USDX * USDX_UNIT // ETHER


def _approve(deployer: Deployer, spender: Address) -> None:
    for token in ("weth", "usdx", "ethx"):
        deployer.send(deployer.book.address(token), "approve(address,uint256)", spender, UNLIMITED)
