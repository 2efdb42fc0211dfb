"""Stand-ins for protocols whose contracts nobody publishes ready to deploy, funded, on the devnet.

The contracts are our own (`devnet/contracts`), written after the public interfaces and formulas of the
originals, and answer the same calls; `devnet/contracts/README.md` says what each leaves out. The owner plays
oracles, issuers and DAOs.
"""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressKind, TokenClass
from seawall.native import encode_call
from seawall.primitives.units import Address
from seawall.rollout.devnet.accounts import BORROWERS, OWNER, TRADERS
from seawall.rollout.devnet.deployer import ETHER, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import USDX_DECIMALS, USDX_UNIT

__all__ = ["deploy_stand_ins"]

STABLE_POOL: Final = "curve_stable_usdx_redeemable_usd"

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

# More of the redeemable dollar than of the other: it trades a little below par.
STABLE_A: Final = 100
STABLE_FEE: Final = 4_000_000
STABLE_OFFPEG: Final = 20_000_000_000
STABLE_USDX: Final = 1_000_000 * USDX_UNIT
STABLE_REDEEMABLE: Final = 4_000_000 * ETHER

CRYPTO_WETH_WEI: Final = 2_000 * ETHER
CRYPTO_USDX: Final = 2_000 * 2_500 * USDX_UNIT
# A (times 40,000), gamma, fees [1e10], fee gamma, extra profit, step, half time [s], price of WETH [wad].
CRYPTO_TERMS: Final = (
    400_000,
    145 * 10**12,
    26_000_000,
    45_000_000,
    230 * 10**12,
    2 * 10**12,
    146 * 10**12,
    600,
    2_500 * 10**18,
)

CRV_MINTED: Final = 10_000_000 * ETHER
CVX_MINTED: Final = 54_321_000 * ETHER
CONVEX_REWARD: Final = 100_000 * ETHER
CONVEX_STAKED: Final = 1_000_000 * ETHER
CURVE_SHARES_OF_TRADER: Final = 10_000 * ETHER

FLASH_FEE_BPS: Final = 4
FLASH_WETH_WEI: Final = 1_000 * ETHER
FLASH_USDX: Final = 2_500_000 * USDX_UNIT


def deploy_stand_ins(deployer: Deployer) -> None:
    """All of them; tokens, feeds and the traders' money must be there."""
    _deploy_redeemable(deployer)
    _deploy_lido(deployer)
    _deploy_rocket_pool(deployer)
    _deploy_comet(deployer)
    _deploy_curve_stable(deployer)
    _deploy_curve_crypto(deployer)
    _deploy_convex(deployer)
    _deploy_flash_lender(deployer)


def _deploy_flash_lender(deployer: Deployer) -> None:
    """One by ERC-3156, with WETH and USDX."""
    tokens = tuple(deployer.book.address(token) for token in ("weth", "usdx"))
    lender = deployer.deploy(
        "flash_lender",
        AddressKind.LENDER,
        deployer.compiled["FlashLender"],
        ("address[]", "uint256"),
        tokens,
        FLASH_FEE_BPS,
    )
    for token, amount in zip(tokens, (FLASH_WETH_WEI, FLASH_USDX), strict=True):
        deployer.send(token, "transfer(address,uint256)", lender, amount)


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


def _deploy_curve_stable(deployer: Deployer) -> None:
    """USDX against the redeemable dollar, in an NG pool that is its own LP token."""
    book = deployer.book
    coins = (book.address("usdx"), book.address("redeemable_usd"))
    pool = deployer.deploy(
        STABLE_POOL,
        AddressKind.POOL,
        deployer.compiled["CurveStable"],
        ("string", "string", "address[]", "uint256[]", "uint256", "uint256", "uint256"),
        "Curve USDX RUSD",
        "crvUSDXRUSD",
        coins,
        (10 ** (36 - USDX_DECIMALS), 10**18),
        STABLE_A,
        STABLE_FEE,
        STABLE_OFFPEG,
        token_class=TokenClass.RECEIPT,
        decimals=18,
        symbol="crvUSDXRUSD",
    )
    amounts = (STABLE_USDX, STABLE_REDEEMABLE)
    _approve_as_owner(deployer, pool, coins, amounts)
    deployer.send(pool, "add_liquidity(uint256[],uint256)", amounts, 0)
    for trader in TRADERS:
        deployer.send(pool, "transfer(address,uint256)", trader, CURVE_SHARES_OF_TRADER)


def _deploy_curve_crypto(deployer: Deployer) -> None:
    """USDX and WETH in a two-coin crypto pool."""
    book = deployer.book
    coins = (book.address("usdx"), book.address("weth"))
    pool = deployer.deploy(
        "curve_crypto_usdx_weth",
        AddressKind.POOL,
        deployer.compiled["CurveCrypto"],
        (
            "string",
            "string",
            "address[2]",
            "uint256[2]",
            "(uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256)",
            "address",
        ),
        "Curve USDX WETH",
        "crvUSDXWETH",
        coins,
        (10 ** (18 - USDX_DECIMALS), 1),
        CRYPTO_TERMS,
        OWNER,
        token_class=TokenClass.RECEIPT,
        decimals=18,
        symbol="crvUSDXWETH",
    )
    amounts = (CRYPTO_USDX, CRYPTO_WETH_WEI)
    _approve_as_owner(deployer, pool, coins, amounts)
    deployer.send(pool, "add_liquidity(uint256[2],uint256)", amounts, 0)
    for trader in TRADERS:
        deployer.send(pool, "transfer(address,uint256)", trader, ETHER)


def _deploy_convex(deployer: Deployer) -> None:
    """The booster with the stableswap pool's LP token, which earns; the owner has staked."""
    book, compiled = deployer.book, deployer.compiled
    crv = deployer.deploy(
        "crv",
        AddressKind.TOKEN,
        compiled["StandInToken"],
        ("string", "string", "uint8", "address"),
        "Curve DAO Token",
        "CRV",
        18,
        OWNER,
        token_class=TokenClass.ASSET,
        decimals=18,
        symbol="CRV",
    )
    cvx = deployer.deploy(
        "convex_cvx",
        AddressKind.TOKEN,
        compiled["ConvexToken"],
        ("uint256", "address"),
        CVX_MINTED,
        OWNER,
        token_class=TokenClass.ASSET,
        decimals=18,
        symbol="CVX",
    )
    booster = deployer.deploy(
        "convex_booster",
        AddressKind.LENDER,
        compiled["ConvexBooster"],
        ("address", "address", "address"),
        crv,
        cvx,
        OWNER,
    )
    pool = book.address(STABLE_POOL)
    deployer.send(cvx, "setOperator(address)", booster)
    deployer.send(booster, "addPool(address)", pool)
    info = deployer.rpc.view(booster, encode_call("poolInfo(uint256)", (0,)))
    rewards = Address(info[3 * 32 + 12 : 4 * 32])
    deployer.record(
        f"convex_{STABLE_POOL}_0", AddressKind.POSITIONS, rewards, compiled["BaseRewardPool"].source
    )
    deployer.send(crv, "mint(address,uint256)", OWNER, CRV_MINTED)
    deployer.send(pool, "approve(address,uint256)", booster, CONVEX_STAKED)
    deployer.send(booster, "deposit(uint256,uint256,bool)", 0, CONVEX_STAKED, True)
    deployer.send(crv, "approve(address,uint256)", booster, CONVEX_REWARD)
    deployer.send(booster, "notify(uint256,uint256)", 0, CONVEX_REWARD)


def _approve_as_owner(
    deployer: Deployer, spender: Address, tokens: tuple[Address, ...], amounts: tuple[int, ...]
) -> None:
    for token, amount in zip(tokens, amounts, strict=True):
        deployer.send(token, "approve(address,uint256)", spender, amount)


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
