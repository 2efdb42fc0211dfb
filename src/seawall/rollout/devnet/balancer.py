"""Balancer V2 from its authors' artifacts: the Vault, and a weighted pool deep enough to lend from."""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressKind, TokenClass
from seawall.native import abi_encode, encode_call
from seawall.primitives.units import Address, hex_text
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.deployer import ETHER, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import ETH_PRICE_USDX, USDX_UNIT
from seawall.rollout.devnet.toolchain import Artifact

__all__ = ["deploy_balancer"]

POOL_WETH_WEI: Final = 20_000 * ETHER
POOL_FEE_WAD: Final = 3 * 10**15
PAUSE_WINDOW_S: Final = 90 * 86_400
PAUSE_BUFFER_S: Final = 30 * 86_400

_PACKAGE: Final = "@balancer-labs/v2-deployments"
# WeightedPoolUserData.JoinKind.INIT
_JOIN_INIT: Final = 0


def deploy_balancer(deployer: Deployer) -> None:
    """Authorizer, Vault, fee provider, weighted pool factory, and one funded 50/50 pool of WETH and USDX."""
    book = deployer.book
    authorizer = deployer.deploy(
        "balancer_authorizer",
        AddressKind.AUTHORITY,
        _artifact(deployer, "20210418-authorizer", "Authorizer"),
        ("address",),
        OWNER,
    )
    vault = deployer.deploy(
        "balancer_vault",
        AddressKind.LENDER,
        _artifact(deployer, "20210418-vault", "Vault"),
        ("address", "address", "uint256", "uint256"),
        authorizer,
        book.address("weth"),
        PAUSE_WINDOW_S,
        PAUSE_BUFFER_S,
    )
    fees = deployer.deploy(
        "balancer_fees",
        AddressKind.AUTHORITY,
        _artifact(deployer, "20220725-protocol-fee-percentages-provider", "ProtocolFeePercentagesProvider"),
        ("address", "uint256", "uint256"),
        vault,
        ETHER,
        ETHER,
    )
    factory = deployer.deploy(
        "balancer_weighted_factory",
        AddressKind.FACTORY,
        _artifact(deployer, "20230206-weighted-pool-v3", "WeightedPoolFactory"),
        ("address", "address", "string", "string"),
        vault,
        fees,
        "v3",
        "p3",
    )
    _open_pool(deployer, vault, factory)


def _open_pool(deployer: Deployer, vault: Address, factory: Address) -> None:
    weth, usdx = deployer.book.address("weth"), deployer.book.address("usdx")
    amounts = {weth: POOL_WETH_WEI, usdx: POOL_WETH_WEI * ETH_PRICE_USDX * USDX_UNIT // ETHER}
    tokens = tuple(sorted(amounts))
    nobody = Address(bytes(20))
    create = "create(string,string,address[],uint256[],address[],uint256,address)"
    parameters = (
        "Weighted WETH USDX",
        "50WETH-50USDX",
        tokens,
        (ETHER // 2, ETHER // 2),
        (nobody, nobody),
        POOL_FEE_WAD,
        OWNER,
    )
    # The factory returns the address: asking first and sending then meets the same nonce.
    pool = deployer.view_address(factory, create, *parameters)
    deployer.send(factory, create, *parameters)
    pool_id = deployer.rpc.view(pool, encode_call("getPoolId()", ()))
    deployer.record(
        "balancer_weth_usdx",
        AddressKind.POOL,
        pool,
        _artifact(deployer, "20230206-weighted-pool-v3", "WeightedPool").source,
        token_class=TokenClass.RECEIPT,
        decimals=18,
        symbol="50WETH-50USDX",
        reference=hex_text(pool_id),
    )
    for token in tokens:
        deployer.send(token, "approve(address,uint256)", vault, UNLIMITED)
    maximum = tuple(amounts[token] for token in tokens)
    deployer.send(
        vault,
        "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))",
        pool_id,
        OWNER,
        OWNER,
        (tokens, maximum, abi_encode(["uint256", "uint256[]"], (_JOIN_INIT, maximum)), False),
    )


def _artifact(deployer: Deployer, task: str, name: str) -> Artifact:
    return deployer.toolchain.package_artifact(_PACKAGE, f"dist/tasks/{task}/artifact/{name}.json")
