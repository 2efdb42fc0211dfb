"""Stand-ins for protocols whose contracts nobody publishes ready to deploy, funded, on the devnet.

The contracts are our own (`devnet/contracts`), written after the public interfaces and formulas of the
originals, and answer the same calls; `devnet/contracts/README.md` says what each leaves out. The owner plays
oracles, issuers and DAOs.
"""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressKind, TokenClass
from seawall.primitives.units import Address
from seawall.rollout.devnet.accounts import BORROWERS, OWNER, TRADERS
from seawall.rollout.devnet.deployer import ETHER, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import USDX_DECIMALS, USDX_UNIT

__all__ = ["deploy_stand_ins"]

REDEEMABLE_SCALE: Final = 10**12  # 18 decimals over the 6 of USDX
REDEEMABLE_ISSUED: Final = 20_000_000 * USDX_UNIT
REDEEMABLE_TRADER: Final = 500_000 * ETHER
REDEEMABLE_INSTANT_FEE_BPS: Final = 10
REDEEMABLE_QUEUE_FEE_BPS: Final = 0
REDEEMABLE_INSTANT_CAP: Final = 2_000_000 * USDX_UNIT
REDEEMABLE_MINIMUM: Final = ETHER
REDEEMABLE_DELAY_S: Final = 86_400

LIDO_POOL_WEI: Final = 20_000 * ETHER
# What the pool has earned: a rate that is no round number, so that rounding shows.
LIDO_EARNED_WEI: Final = 3_456_789_012_345_678_901_234
LIDO_LIMIT_WEI: Final = 150_000 * ETHER
LIDO_LIMIT_PER_BLOCK_WEI: Final = 23 * ETHER
LIDO_TRADER_WEI: Final = 100 * ETHER

ROCKET_TOTAL_WEI: Final = 11_234_567_890_123_456_789_012
ROCKET_SUPPLY: Final = 10_000 * ETHER
ROCKET_POOL_WEI: Final = 1_000 * ETHER
ROCKET_QUEUE_WEI: Final = 400 * ETHER
ROCKET_TRADER_WEI: Final = 50 * ETHER

# Yearly rates of the curves, as wad. The kinks are apart, as on the true markets.
YEAR_S: Final = 365 * 86_400
COMET_SUPPLY_CURVE: Final = (85 * 10**16, 0, 39 * 10**15 // YEAR_S, 36 * 10**17 // YEAR_S)
COMET_BORROW_CURVE: Final = (90 * 10**16, 15 * 10**15 // YEAR_S, 35 * 10**15 // YEAR_S, 34 * 10**17 // YEAR_S)
COMET_BORROW_MIN: Final = 100 * USDX_UNIT
COMET_TARGET_RESERVES: Final = 5_000_000 * USDX_UNIT
COMET_LENT: Final = 10_000_000 * USDX_UNIT
COMET_BORROWED: Final = 6_000_000 * USDX_UNIT
COMET_PUT_UP_WEI: Final = 4_000 * ETHER
# Borrow, liquidate and liquidation factors [wad], cap [wei].
COMET_COLLATERALS: Final = {
    "weth": (825 * 10**15, 895 * 10**15, 95 * 10**16, 50_000 * ETHER),
    "ethx": (70 * 10**16, 75 * 10**16, 93 * 10**16, 1_000 * ETHER),
}


def deploy_stand_ins(deployer: Deployer) -> None:
    """All of them; tokens, feeds and the traders' money must be there."""
    _deploy_redeemable(deployer)
    _deploy_lido(deployer)
    _deploy_rocket_pool(deployer)
    _deploy_comet(deployer)


def _deploy_redeemable(deployer: Deployer) -> None:
    """A dollar that its issuer redeems at par in USDX, held by the owner and the traders."""
    usdx = deployer.book.address("usdx")
    desk = deployer.deploy(
        "redeemable_issuer",
        AddressKind.LENDER,
        deployer.compiled["RedemptionDesk"],
        ("address", "uint256", "address"),
        usdx,
        REDEEMABLE_SCALE,
        OWNER,
    )
    token = deployer.view_address(desk, "token()")
    _record_token(deployer, "redeemable_usd", token, "RedeemableUsd", TokenClass.ASSET, "RUSD")
    deployer.send(
        desk,
        "setTerms(uint256,uint256,uint256,uint256,uint256)",
        REDEEMABLE_INSTANT_FEE_BPS,
        REDEEMABLE_QUEUE_FEE_BPS,
        REDEEMABLE_INSTANT_CAP,
        REDEEMABLE_MINIMUM,
        REDEEMABLE_DELAY_S,
    )
    deployer.send(usdx, "approve(address,uint256)", desk, REDEEMABLE_ISSUED)
    deployer.send(desk, "issue(uint256)", REDEEMABLE_ISSUED)
    for trader in TRADERS:
        deployer.send(token, "transfer(address,uint256)", trader, REDEEMABLE_TRADER)


def _deploy_lido(deployer: Deployer) -> None:
    """stETH that has earned, its wrapper, its queue; the traders have staked."""
    steth = _deploy_token(deployer, "lido_steth", "LidoStEth", TokenClass.ASSET, "stETH", OWNER)
    wsteth = _deploy_token(deployer, "lido_wsteth", "LidoWstEth", TokenClass.ASSET, "wstETH", steth)
    queue = deployer.deploy(
        "lido_queue",
        AddressKind.POSITIONS,
        deployer.compiled["LidoWithdrawalQueue"],
        ("address", "address"),
        wsteth,
        OWNER,
    )
    deployer.send(steth, "setQueue(address)", queue)
    deployer.send(steth, "start()", value_wei=LIDO_POOL_WEI)
    deployer.send(steth, "rebase(uint256)", LIDO_POOL_WEI + LIDO_EARNED_WEI, value_wei=LIDO_EARNED_WEI)
    deployer.send(steth, "setStakingLimit(uint256,uint256)", LIDO_LIMIT_WEI, LIDO_LIMIT_PER_BLOCK_WEI)
    for trader in TRADERS:
        deployer.send(steth, "submit(address)", OWNER, sender=trader, value_wei=LIDO_TRADER_WEI)
        deployer.send(steth, "approve(address,uint256)", wsteth, UNLIMITED, sender=trader)
        deployer.send(wsteth, "wrap(uint256)", LIDO_TRADER_WEI // 2, sender=trader)


def _deploy_rocket_pool(deployer: Deployer) -> None:
    """rETH at a reported rate, and a deposit pool with something in it."""
    compiled = deployer.compiled
    balances = deployer.deploy(
        "rocket_balances", AddressKind.AUTHORITY, compiled["RocketNetworkBalances"], ("address",), OWNER
    )
    settings = deployer.deploy(
        "rocket_settings", AddressKind.AUTHORITY, compiled["RocketDepositSettings"], ("address",), OWNER
    )
    pool = deployer.deploy(
        "rocket_deposit",
        AddressKind.LENDER,
        compiled["RocketDepositPool"],
        ("address", "address", "address"),
        settings,
        balances,
        OWNER,
    )
    reth = deployer.view_address(pool, "reth()")
    _record_token(deployer, "rocket_reth", reth, "RocketTokenREth", TokenClass.ASSET, "rETH")
    deployer.send(balances, "updateBalances(uint256,uint256)", ROCKET_TOTAL_WEI, ROCKET_SUPPLY)
    deployer.send(pool, "setQueueCapacity(uint256)", ROCKET_QUEUE_WEI)
    deployer.send(pool, "deposit()", value_wei=ROCKET_POOL_WEI)
    for trader in TRADERS:
        deployer.send(pool, "deposit()", sender=trader, value_wei=ROCKET_TRADER_WEI)


def _deploy_comet(deployer: Deployer) -> None:
    """A market that lends USDX against WETH and ETHX; the owner lends, a borrower borrows."""
    book = deployer.book
    usdx, weth = book.address("usdx"), book.address("weth")
    comet = deployer.deploy(
        "comet_usdx",
        AddressKind.LENDER,
        deployer.compiled["Comet"],
        (
            "address",
            "address",
            "uint8",
            "uint256",
            "uint256",
            "(uint64,uint64,uint64,uint64)",
            "(uint64,uint64,uint64,uint64)",
            "address",
        ),
        usdx,
        book.address("feed_usdx_usd"),
        USDX_DECIMALS,
        COMET_BORROW_MIN,
        COMET_TARGET_RESERVES,
        COMET_SUPPLY_CURVE,
        COMET_BORROW_CURVE,
        OWNER,
    )
    feed = book.address("feed_eth_usd")
    for name, (borrow, liquidate, liquidation, cap) in COMET_COLLATERALS.items():
        deployer.send(
            comet,
            "addAsset((uint8,address,address,uint64,uint64,uint64,uint64,uint128))",
            (0, book.address(name), feed, ETHER, borrow, liquidate, liquidation, cap),
        )
    deployer.send(usdx, "approve(address,uint256)", comet, COMET_LENT)
    deployer.send(comet, "supply(address,uint256)", usdx, COMET_LENT)
    deployer.send(weth, "transfer(address,uint256)", BORROWERS[1], COMET_PUT_UP_WEI)
    deployer.send(weth, "approve(address,uint256)", comet, COMET_PUT_UP_WEI, sender=BORROWERS[1])
    deployer.send(comet, "supply(address,uint256)", weth, COMET_PUT_UP_WEI, sender=BORROWERS[1])
    deployer.send(comet, "withdraw(address,uint256)", usdx, COMET_BORROWED, sender=BORROWERS[1])


def _deploy_token(
    deployer: Deployer, name: str, contract: str, token_class: TokenClass, symbol: str, argument: Address
) -> Address:
    """One whose constructor takes one address."""
    return deployer.deploy(
        name,
        AddressKind.TOKEN,
        deployer.compiled[contract],
        ("address",),
        argument,
        token_class=token_class,
        decimals=18,
        symbol=symbol,
    )


def _record_token(
    deployer: Deployer, name: str, address: Address, contract: str, token_class: TokenClass, symbol: str
) -> None:
    """One that another contract created."""
    source = deployer.compiled[contract].source
    deployer.record(
        name, AddressKind.TOKEN, address, source, token_class=token_class, decimals=18, symbol=symbol
    )
