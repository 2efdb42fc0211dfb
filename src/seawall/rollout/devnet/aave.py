"""Aave V3.6 from its authors' sources, twice: the second deployment is Spark. Both have borrowers.

What is the same for both (libraries without state) is created once. Utilisation is low on purpose: the
chain's clock jumps from its genesis to now when the devnet starts, and what is owed should not grow with it.

A test that wants a reserve frozen, paused, capped or dropped does it as OWNER, who is the pool's admin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressKind, TokenClass
from seawall.native import abi_encode
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.rollout.devnet.accounts import BORROWERS, OWNER
from seawall.rollout.devnet.deployer import ETHER, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import USDX_UNIT
from seawall.rollout.devnet.toolchain import Artifact

__all__ = ["EMODE_ETHER", "deploy_aave", "fund_borrowers"]

EMODE_ETHER: Final = 1
"""The category in which ether and its look-alike are lent against each other."""

BASE_CURRENCY_UNIT: Final = 10**8
RESERVE_FACTOR_BPS: Final = 1_000
FLASH_PREMIUM_BPS: Final = 5
LIQUIDATION_PROTOCOL_FEE_BPS: Final = 1_000

_VARIABLE_RATE: Final = 2
_NO_BYTES: Final = b""
_INIT_RESERVES: Final = "initReserves((address,address,address,string,string,string,string,bytes,bytes)[])"


@dataclass(frozen=True, slots=True)
class _Reserve:
    token: str
    decimals: int
    feed: str
    ltv_bps: int
    threshold_bps: int
    bonus_bps: int
    optimal_usage_bps: int
    base_rate_bps: int
    slope1_bps: int
    slope2_bps: int
    supply_cap: int = 0
    """[whole tokens], 0: none."""
    borrow_cap: int = 0


@dataclass(frozen=True, slots=True)
class _Loan:
    borrower: Address
    collateral: str
    collateral_amount: int
    debt: str
    debt_amount: int
    emode: int = 0


@dataclass(frozen=True, slots=True)
class _Deployment:
    prefix: str
    """Of names in the book."""
    receipt_prefix: str
    symbol_prefix: str
    supplies: dict[str, int]
    """What the owner lends, by token."""
    loans: tuple[_Loan, ...]


_RESERVES: Final = (
    _Reserve("weth", 18, "feed_eth_usd", 8_000, 8_300, 10_500, 8_000, 0, 270, 8_000),
    _Reserve("usdx", 6, "feed_usdx_usd", 7_500, 7_800, 10_450, 9_000, 0, 550, 3_500),
    _Reserve("ethx", 18, "feed_eth_usd", 7_200, 7_500, 10_750, 4_500, 100, 700, 30_000, 200_000, 100_000),
)
_DEPLOYMENTS: Final = (
    _Deployment(
        "aave",
        "a",
        "a",
        {"weth": 10_000 * ETHER, "usdx": 25_000_000 * USDX_UNIT, "ethx": 10_000 * ETHER},
        (
            _Loan(BORROWERS[0], "weth", 100 * ETHER, "usdx", 150_000 * USDX_UNIT),  # health 1.38
            _Loan(BORROWERS[1], "weth", 50 * ETHER, "usdx", 98_000 * USDX_UNIT),  # 1.06
            _Loan(BORROWERS[2], "usdx", 200_000 * USDX_UNIT, "weth", 40 * ETHER),  # 1.56
            _Loan(BORROWERS[3], "ethx", 100 * ETHER, "weth", 92 * ETHER, EMODE_ETHER),  # 1.03
        ),
    ),
    _Deployment(
        "spark",
        "sp",
        "sp",
        {"weth": 4_000 * ETHER, "usdx": 10_000_000 * USDX_UNIT, "ethx": 4_000 * ETHER},
        (
            _Loan(BORROWERS[0], "ethx", 20 * ETHER, "usdx", 35_000 * USDX_UNIT),  # 1.07
            _Loan(BORROWERS[2], "usdx", 100_000 * USDX_UNIT, "weth", 28 * ETHER),  # 1.11
        ),
    ),
)
_BORROWER_WEALTH: Final = {"weth": 500 * ETHER, "usdx": 1_000_000 * USDX_UNIT, "ethx": 500 * ETHER}


def fund_borrowers(deployer: Deployer) -> None:
    """What the borrowers put up, here and at other lenders."""
    for borrower in BORROWERS:
        for token, amount in _BORROWER_WEALTH.items():
            deployer.send(deployer.book.address(token), "transfer(address,uint256)", borrower, amount)


def deploy_aave(deployer: Deployer) -> None:
    """Two markets of WETH, USDX and ETHX, each with pool, oracle, rates, tokens, lenders and borrowers."""
    libraries: dict[str, Address] = {}
    for name in ("BorrowLogic", "FlashLoanLogic", "LiquidationLogic", "PoolLogic", "SupplyLogic"):
        libraries[name] = deployer.create(deployer.compiled[name].linked(libraries))
    libraries["ConfiguratorLogic"] = deployer.create(deployer.compiled["ConfiguratorLogic"])
    for deployment in _DEPLOYMENTS:
        _deploy_market(deployer, deployment, libraries)
        _list_reserves(deployer, deployment)
        _lend(deployer, deployment)


def _deploy_market(deployer: Deployer, deployment: _Deployment, libraries: dict[str, Address]) -> None:
    """The pool behind its proxy, and what it asks: authorities, rates and prices."""
    book, compiled, prefix = deployer.book, deployer.compiled, deployment.prefix
    provider = deployer.deploy(
        f"{prefix}_provider",
        AddressKind.AUTHORITY,
        compiled["PoolAddressesProvider"],
        ("string", "address"),
        prefix,
        OWNER,
    )
    rates = deployer.deploy(
        f"{prefix}_rates",
        AddressKind.QUOTER,
        compiled["DefaultReserveInterestRateStrategyV2"],
        ("address",),
        provider,
    )
    deployer.send(provider, "setACLAdmin(address)", OWNER)
    acl = deployer.deploy(
        f"{prefix}_acl", AddressKind.AUTHORITY, compiled["ACLManager"], ("address",), provider
    )
    deployer.send(provider, "setACLManager(address)", acl)
    deployer.send(acl, "addPoolAdmin(address)", OWNER)
    feeds = tuple(book.address(reserve.feed) for reserve in _RESERVES)
    tokens = tuple(book.address(reserve.token) for reserve in _RESERVES)
    oracle = deployer.deploy(
        f"{prefix}_oracle",
        AddressKind.QUOTER,
        compiled["AaveOracle"],
        ("address", "address[]", "address[]", "address", "address", "uint256"),
        *(provider, tokens, feeds, ZERO_ADDRESS, ZERO_ADDRESS, BASE_CURRENCY_UNIT),
    )
    deployer.send(provider, "setPriceOracle(address)", oracle)
    pool_code = compiled["PoolInstance"].linked(libraries)
    configurator_code = compiled["PoolConfiguratorInstance"].linked(libraries)
    pool_behind = deployer.create(pool_code, ("address", "address"), provider, rates)
    deployer.send(provider, "setPoolImpl(address)", pool_behind)
    deployer.send(provider, "setPoolConfiguratorImpl(address)", deployer.create(configurator_code))
    pool = deployer.view_address(provider, "getPool()")
    configurator = deployer.view_address(provider, "getPoolConfigurator()")
    deployer.record(f"{prefix}_pool", AddressKind.LENDER, pool, pool_code.source)
    deployer.record(f"{prefix}_configurator", AddressKind.AUTHORITY, configurator, configurator_code.source)
    reader = deployer.deploy(
        f"{prefix}_data_provider",
        AddressKind.QUOTER,
        compiled["AaveProtocolDataProvider"],
        ("address",),
        provider,
    )
    deployer.send(provider, "setPoolDataProvider(address)", reader)


def _list_reserves(deployer: Deployer, deployment: _Deployment) -> None:
    book, prefix = deployer.book, deployment.prefix
    pool, configurator = book.address(f"{prefix}_pool"), book.address(f"{prefix}_configurator")
    receipt_code, debt_code = (
        deployer.compiled["ATokenInstance"],
        deployer.compiled["VariableDebtTokenInstance"],
    )
    receipt = deployer.create(receipt_code, ("address", "address", "address"), pool, ZERO_ADDRESS, OWNER)
    debt = deployer.create(debt_code, ("address", "address"), pool, ZERO_ADDRESS)
    listed = tuple(_listing(deployer, deployment, reserve, receipt, debt) for reserve in _RESERVES)
    deployer.send(configurator, _INIT_RESERVES, listed)
    deployer.send(configurator, "updateFlashloanPremium(uint128)", FLASH_PREMIUM_BPS)
    deployer.send(
        configurator,
        "setEModeCategory(uint8,uint16,uint16,uint16,string)",
        *(EMODE_ETHER, 9_300, 9_500, 10_100, "Ether"),
    )
    for reserve in _RESERVES:
        _configure(deployer, configurator, reserve)
        _record_tokens(deployer, deployment, pool, reserve, receipt_code, debt_code)


def _listing(
    deployer: Deployer, deployment: _Deployment, reserve: _Reserve, receipt: Address, debt: Address
) -> tuple[Address | str | bytes, ...]:
    symbol = reserve.token.upper()
    rates = (reserve.optimal_usage_bps, reserve.base_rate_bps, reserve.slope1_bps, reserve.slope2_bps)
    return (
        receipt,
        debt,
        deployer.book.address(reserve.token),
        f"{deployment.prefix} {symbol}",
        deployment.symbol_prefix + symbol,
        f"{deployment.prefix} variable debt {symbol}",
        f"variableDebt{symbol}",
        _NO_BYTES,
        abi_encode(["uint16", "uint32", "uint32", "uint32"], rates),
    )


def _configure(deployer: Deployer, configurator: Address, reserve: _Reserve) -> None:
    token = deployer.book.address(reserve.token)
    deployer.send(
        configurator,
        "configureReserveAsCollateral(address,uint256,uint256,uint256)",
        *(token, reserve.ltv_bps, reserve.threshold_bps, reserve.bonus_bps),
    )
    deployer.send(configurator, "setReserveBorrowing(address,bool)", token, True)
    deployer.send(configurator, "setReserveFlashLoaning(address,bool)", token, True)
    deployer.send(configurator, "setReserveFactor(address,uint256)", token, RESERVE_FACTOR_BPS)
    deployer.send(
        configurator, "setLiquidationProtocolFee(address,uint256)", token, LIQUIDATION_PROTOCOL_FEE_BPS
    )
    if reserve.supply_cap:
        deployer.send(configurator, "setSupplyCap(address,uint256)", token, reserve.supply_cap)
    if reserve.borrow_cap:
        deployer.send(configurator, "setBorrowCap(address,uint256)", token, reserve.borrow_cap)
    if reserve.feed == "feed_eth_usd":
        for what in ("Collateral", "Borrowable"):
            deployer.send(
                configurator, f"setAsset{what}InEMode(address,uint8,bool)", token, EMODE_ETHER, True
            )


def _record_tokens(
    deployer: Deployer,
    deployment: _Deployment,
    pool: Address,
    reserve: _Reserve,
    receipt_code: Artifact,
    debt_code: Artifact,
) -> None:
    token, symbol = deployer.book.address(reserve.token), reserve.token.upper()
    deployer.record(
        f"{deployment.receipt_prefix}_{reserve.token}",
        AddressKind.TOKEN,
        deployer.view_address(pool, "getReserveAToken(address)", token),
        receipt_code.source,
        token_class=TokenClass.RECEIPT,
        decimals=reserve.decimals,
        symbol=deployment.symbol_prefix + symbol,
    )
    deployer.record(
        f"{deployment.prefix}_debt_{reserve.token}",
        AddressKind.TOKEN,
        deployer.view_address(pool, "getReserveVariableDebtToken(address)", token),
        debt_code.source,
        token_class=TokenClass.DEBT,
        decimals=reserve.decimals,
        symbol=f"variableDebt{symbol}",
    )


def _lend(deployer: Deployer, deployment: _Deployment) -> None:
    pool = deployer.book.address(f"{deployment.prefix}_pool")
    for token, amount in deployment.supplies.items():
        _supply(deployer, pool, OWNER, token, amount)
    for loan in deployment.loans:
        if loan.emode:
            deployer.send(pool, "setUserEMode(uint8)", loan.emode, sender=loan.borrower)
        _supply(deployer, pool, loan.borrower, loan.collateral, loan.collateral_amount)
        deployer.send(
            pool,
            "borrow(address,uint256,uint256,uint16,address)",
            *(deployer.book.address(loan.debt), loan.debt_amount, _VARIABLE_RATE, 0, loan.borrower),
            sender=loan.borrower,
        )


def _supply(deployer: Deployer, pool: Address, who: Address, name: str, amount: int) -> None:
    token = deployer.book.address(name)
    deployer.send(token, "approve(address,uint256)", pool, UNLIMITED, sender=who)
    deployer.send(pool, "supply(address,uint256,address,uint16)", token, amount, who, 0, sender=who)
