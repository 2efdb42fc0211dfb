"""Tokens, Multicall3, feeds and the debt desk, and what the traders hold.

Everything is priced alike: one ether, one ETHX and 2,500 USDX are worth the same when the devnet is built.
"""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressKind, TokenClass
from seawall.primitives.units import Address, hex_text
from seawall.rollout.devnet.accounts import OWNER, TRADERS
from seawall.rollout.devnet.deployer import ETHER, UNLIMITED, Deployer

__all__ = [
    "ETH_PRICE_USDX",
    "FEED_DECIMALS",
    "USDX_UNIT",
    "approve_as_traders",
    "deploy_lending",
    "deploy_tokens",
]

MULTICALL3: Final = Address(bytes.fromhex("cA11bde05977b3631167028862bE2a173976CA11"))

USDX_DECIMALS: Final = 6
USDX_UNIT: Final = 10**USDX_DECIMALS
ETH_PRICE_USDX: Final = 2_500
FEED_DECIMALS: Final = 8

OWNER_WEALTH_WEI: Final = 1_000_000 * ETHER
OWNER_WETH_WEI: Final = 100_000 * ETHER
OWNER_ETHX_WEI: Final = 100_000 * ETHER
OWNER_USDX: Final = 500_000_000 * USDX_UNIT
TRADER_WETH_WEI: Final = 2_000 * ETHER
TRADER_ETHX_WEI: Final = 2_000 * ETHER
TRADER_USDX: Final = 5_000_000 * USDX_UNIT

TRADER_SPENDERS: Final = (
    "uniswap_v2_router",
    "uniswap_v3_router",
    "balancer_vault",
    "debt_desk",
    "aave_pool",
    "spark_pool",
    "morpho",
)

DESK_USDX: Final = 10_000_000 * USDX_UNIT
DESK_THRESHOLD_BPS: Final = 8_000
# About 5 % a year, simple. [ray per second]
DESK_RATE_PER_SECOND_RAY: Final = 5 * 10**25 // (365 * 86_400)


def deploy_tokens(deployer: Deployer) -> None:
    """WETH, USDX, ETHX, Multicall3 at its canonical address, two feeds; owner and traders are funded."""
    deployer.rpc.call("anvil_setBalance", hex_text(OWNER), hex(OWNER_WEALTH_WEI))
    weth = deployer.deploy(
        "weth",
        AddressKind.TOKEN,
        deployer.toolchain.package_artifact("canonical-weth", "build/contracts/WETH9.json"),
        token_class=TokenClass.SETTLEMENT,
        decimals=18,
        symbol="WETH",
    )
    deployer.place("multicall3", AddressKind.MULTICALL, deployer.compiled["Multicall3"], MULTICALL3)
    usdx = _deploy_stand_in(deployer, "usdx", "Devnet Dollar", "USDX", USDX_DECIMALS, TokenClass.SETTLEMENT)
    ethx = _deploy_stand_in(deployer, "ethx", "Devnet Ether Token", "ETHX", 18, TokenClass.ASSET)
    deployer.send(weth, "deposit()", value_wei=OWNER_WETH_WEI)
    deployer.send(usdx, "mint(address,uint256)", OWNER, OWNER_USDX)
    deployer.send(ethx, "mint(address,uint256)", OWNER, OWNER_ETHX_WEI)
    for trader in TRADERS:
        deployer.send(weth, "transfer(address,uint256)", trader, TRADER_WETH_WEI)
        deployer.send(usdx, "transfer(address,uint256)", trader, TRADER_USDX)
        deployer.send(ethx, "transfer(address,uint256)", trader, TRADER_ETHX_WEI)
    for name, price in (("feed_eth_usd", ETH_PRICE_USDX), ("feed_usdx_usd", 1)):
        deployer.deploy(
            name,
            AddressKind.FEED,
            deployer.compiled["MockV3Aggregator"],
            ("uint8", "int256"),
            FEED_DECIMALS,
            price * 10**FEED_DECIMALS,
        )


def deploy_lending(deployer: Deployer) -> None:
    """The debt desk (WETH in, USDX out), funded, with its debt token."""
    book = deployer.book
    desk = deployer.deploy(
        "debt_desk",
        AddressKind.LENDER,
        deployer.compiled["DebtDesk"],
        ("address", "address", "address", "uint256", "uint256"),
        book.address("weth"),
        book.address("usdx"),
        book.address("feed_eth_usd"),
        DESK_THRESHOLD_BPS,
        DESK_RATE_PER_SECOND_RAY,
    )
    deployer.record(
        "debt_usdx",
        AddressKind.TOKEN,
        deployer.view_address(desk, "debtToken()"),
        deployer.compiled["VariableDebtToken"].source,
        token_class=TokenClass.DEBT,
        decimals=USDX_DECIMALS,
        symbol="vDEBT",
    )
    deployer.send(book.address("usdx"), "transfer(address,uint256)", desk, DESK_USDX)


def approve_as_traders(deployer: Deployer) -> None:
    """Unlimited allowances of every trader for whatever trades or lends."""
    book = deployer.book
    for trader in TRADERS:
        for token in ("weth", "usdx", "ethx"):
            for spender in TRADER_SPENDERS:
                deployer.send(
                    book.address(token),
                    "approve(address,uint256)",
                    book.address(spender),
                    UNLIMITED,
                    sender=trader,
                )


def _deploy_stand_in(
    deployer: Deployer, name: str, title: str, symbol: str, decimals: int, token_class: TokenClass
) -> Address:
    return deployer.deploy(
        name,
        AddressKind.TOKEN,
        deployer.compiled["StandInToken"],
        ("string", "string", "uint8", "address"),
        title,
        symbol,
        decimals,
        OWNER,
        token_class=token_class,
        decimals=decimals,
        symbol=symbol,
    )
