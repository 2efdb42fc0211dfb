"""Position tokens of the devnet: one for everything that can lie in its Morpho markets and its Comet.

Deployed last, so that the addresses of everything else do not depend on them.
"""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.primitives.units import Address
from seawall.protocols.adapters import morpho_blue
from seawall.protocols.adapters.position_views import position_name
from seawall.protocols.executor.artifacts import POSITION_VIEW, load_artifact
from seawall.protocols.executor.risk_book import PositionKind
from seawall.rollout.devnet.deployer import Deployer
from seawall.rollout.devnet.standins import COMET_COLLATERALS
from seawall.rollout.devnet.toolchain import Artifact

__all__ = ["deploy_position_views"]

_NO_MARKET: Final = bytes(32)


def deploy_position_views(deployer: Deployer) -> None:
    """Markets must be open; they are found as adapters find them."""
    book = deployer.book
    names = {entry.address: entry.name for entry in book}
    for market in morpho_blue.from_book(book):
        place = names[market.oracle].replace("morpho_oracle_", "morpho_")
        for kind, what, token in (
            (PositionKind.MORPHO_COLLATERAL, "collateral", market.collateral),
            (PositionKind.MORPHO_SUPPLY, "supply", market.loan),
            (PositionKind.MORPHO_DEBT, "debt", market.loan),
        ):
            name = position_name(place, what, names[token])
            _deploy(deployer, name, kind, market.morpho, market.market_id, token)
    comet = book.address("comet_usdx")
    for token_name in COMET_COLLATERALS:
        name = position_name("comet_usdx", "collateral", token_name)
        kind = PositionKind.COMET_COLLATERAL
        _deploy(deployer, name, kind, comet, _NO_MARKET, book.address(token_name))
    name = position_name("comet_usdx", "debt", "usdx")
    _deploy(deployer, name, PositionKind.COMET_DEBT, comet, _NO_MARKET, book.address("usdx"))


def _deploy(
    deployer: Deployer, name: str, kind: PositionKind, lender: Address, market: bytes, underlying: Address
) -> None:
    ours = load_artifact(POSITION_VIEW)
    artifact = Artifact(
        f"contracts/src/{POSITION_VIEW}.sol:{POSITION_VIEW}", ours.creation_code, ours.runtime_code
    )
    found = deployer.book.find(underlying)
    assert found is not None, "the markets' tokens are in the book"
    deployer.deploy(
        name,
        AddressKind.POSITIONS,
        artifact,
        ("uint8", "address", "bytes32", "address"),
        int(kind),
        lender,
        market,
        underlying,
        decimals=found.decimals,
    )
