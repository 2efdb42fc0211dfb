"""Two ERC-4626 vaults: one as the standard wants it, and one whose answers about maxima are always zero.

What is not known as honest is called `opaque_vault_TOKEN` in the address book.
"""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressKind, TokenClass
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.deployer import ETHER, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import USDX_UNIT

__all__ = ["deploy_vaults"]

USDX_DEPOSIT: Final = 1_000_000 * USDX_UNIT
USDX_YIELD: Final = 37_123_456_789
WETH_DEPOSIT: Final = 500 * ETHER
WETH_YIELD: Final = 7 * ETHER + 1
# Shares of the dollar vault have 18 decimals, which makes donations useless to an attacker.
USDX_OFFSET: Final = 12


def deploy_vaults(deployer: Deployer) -> None:
    """Both with deposits of the owner, and with a yield that makes shares worth more than assets."""
    for name, contract, token, decimals, offset, amount, gained in (
        ("vault_usdx", "YieldVault", "usdx", 6, USDX_OFFSET, USDX_DEPOSIT, USDX_YIELD),
        ("opaque_vault_weth", "OpaqueVault", "weth", 18, 0, WETH_DEPOSIT, WETH_YIELD),
    ):
        asset, symbol = deployer.book.address(token), f"v{token.upper()}"
        vault = deployer.deploy(
            name,
            AddressKind.TOKEN,
            deployer.compiled[contract],
            ("address", "string", "string", "uint8", "address"),
            *(asset, f"Devnet vault of {token.upper()}", symbol, offset, OWNER),
            token_class=TokenClass.RECEIPT,
            decimals=decimals + offset,
            symbol=symbol,
        )
        deployer.send(asset, "approve(address,uint256)", vault, UNLIMITED)
        deployer.send(vault, "deposit(uint256,address)", amount, OWNER)
        deployer.send(asset, "transfer(address,uint256)", vault, gained)
