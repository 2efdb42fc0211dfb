"""Morpho Blue from its authors' source, with two markets, lenders and borrowers.

The rate model is a stand-in with the maths of Morpho's own; oracles divide the devnet's feeds. A market is
called COLLATERAL_LOAN_LIMIT, the limit in basis points: its oracle is `morpho_oracle_weth_usdx_8600`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.primitives.units import Address
from seawall.rollout.devnet.accounts import BORROWERS, OWNER
from seawall.rollout.devnet.deployer import ETHER, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import USDX_UNIT

__all__ = ["deploy_morpho"]

MARKET_FEE_WAD: Final = ETHER // 10

_LIMIT_WAD_OF_BPS: Final = ETHER // 10_000
_PARAMS: Final = "(address,address,address,address,uint256)"


@dataclass(frozen=True, slots=True)
class _Loan:
    borrower: Address
    collateral_amount: int
    debt_amount: int


@dataclass(frozen=True, slots=True)
class _Market:
    collateral: str
    loan: str
    limit_bps: int
    supply: int
    loans: tuple[_Loan, ...]


_TOKENS: Final = {"weth": (18, "feed_eth_usd"), "usdx": (6, "feed_usdx_usd"), "ethx": (18, "feed_eth_usd")}
_MARKETS: Final = (
    _Market(
        "weth",
        "usdx",
        8_600,
        10_000_000 * USDX_UNIT,
        (
            _Loan(BORROWERS[0], 40 * ETHER, 60_000 * USDX_UNIT),  # 60 % of the collateral
            _Loan(BORROWERS[1], 20 * ETHER, 42_000 * USDX_UNIT),  # 84 %
        ),
    ),
    _Market(
        "usdx",
        "ethx",
        7_700,
        3_000 * ETHER,
        (
            _Loan(BORROWERS[2], 100_000 * USDX_UNIT, 20 * ETHER),  # 50 %
            _Loan(BORROWERS[3], 50_000 * USDX_UNIT, 15 * ETHER),  # 75 %
        ),
    ),
)


def deploy_morpho(deployer: Deployer) -> None:
    """Morpho, its rate model, and both markets with what is lent and owed in them."""
    morpho = deployer.deploy("morpho", AddressKind.LENDER, deployer.compiled["Morpho"], ("address",), OWNER)
    model = deployer.deploy(
        "morpho_irm", AddressKind.QUOTER, deployer.compiled["AdaptiveRates"], ("address",), morpho
    )
    deployer.send(morpho, "enableIrm(address)", model)
    deployer.send(morpho, "setFeeRecipient(address)", OWNER)
    for market in _MARKETS:
        deployer.send(morpho, "enableLltv(uint256)", market.limit_bps * _LIMIT_WAD_OF_BPS)
        _open(deployer, morpho, model, market)


def _open(deployer: Deployer, morpho: Address, model: Address, market: _Market) -> None:
    book = deployer.book
    loan, collateral = book.address(market.loan), book.address(market.collateral)
    (collateral_decimals, collateral_feed), (loan_decimals, loan_feed) = (
        _TOKENS[market.collateral],
        _TOKENS[market.loan],
    )
    oracle = deployer.deploy(
        f"morpho_oracle_{market.collateral}_{market.loan}_{market.limit_bps}",
        AddressKind.QUOTER,
        deployer.compiled["FeedRatioOracle"],
        ("address", "address", "uint8", "uint8"),
        *(book.address(collateral_feed), book.address(loan_feed), collateral_decimals, loan_decimals),
    )
    params = (loan, collateral, oracle, model, market.limit_bps * _LIMIT_WAD_OF_BPS)
    deployer.send(morpho, f"createMarket({_PARAMS})", params)
    deployer.send(morpho, f"setFee({_PARAMS},uint256)", params, MARKET_FEE_WAD)
    deployer.send(loan, "approve(address,uint256)", morpho, UNLIMITED)
    supply = f"supply({_PARAMS},uint256,uint256,address,bytes)"
    deployer.send(morpho, supply, params, market.supply, 0, OWNER, b"")
    for entry in market.loans:
        who = entry.borrower
        deployer.send(collateral, "approve(address,uint256)", morpho, UNLIMITED, sender=who)
        deployer.send(
            morpho,
            f"supplyCollateral({_PARAMS},uint256,address,bytes)",
            *(params, entry.collateral_amount, who, b""),
            sender=who,
        )
        deployer.send(
            morpho,
            f"borrow({_PARAMS},uint256,uint256,address,address)",
            *(params, entry.debt_amount, 0, who, who),
            sender=who,
        )
