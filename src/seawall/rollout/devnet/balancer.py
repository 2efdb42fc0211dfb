"""Balancer V2 from its authors' artifacts: the Vault, a weighted pool to lend from, a stable pool."""

from __future__ import annotations

from typing import Final

from seawall.chain.addresses import AddressKind, TokenClass
from seawall.native import abi_encode, encode_call
from seawall.primitives.units import Address, hex_text
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.deployer import ETHER, UNLIMITED, Deployer
from seawall.rollout.devnet.tokens import ETH_PRICE_USDX, USDX_UNIT
from seawall.rollout.devnet.toolchain import Artifact

__all__ = ["deploy_balancer", "deploy_stable_pool"]

POOL_WETH_WEI: Final = 20_000 * ETHER
POOL_FEE_WAD: Final = 3 * 10**15
STABLE_WETH_WEI: Final = 2_000 * ETHER
STABLE_ETHX_WEI: Final = 1_500 * ETHER
STABLE_AMP: Final = 200
STABLE_FEE_WAD: Final = 4 * 10**14
STABLE_RATE_WAD: Final = 1_037_654_321_098_765_432
STABLE_RATE_LIFE_S: Final = 10 * 365 * 86_400
PAUSE_WINDOW_S: Final = 90 * 86_400
PAUSE_BUFFER_S: Final = 30 * 86_400

_PACKAGE: Final = "@balancer-labs/v2-deployments"
# WeightedPoolUserData.JoinKind.INIT
_JOIN_INIT: Final = 0
_JOIN: Final = "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))"
_STABLE_TASK: Final = "20230206-composable-stable-pool-v3"


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


def deploy_stable_pool(deployer: Deployer) -> None:
    """A composable pool of WETH and ETHX, which is worth a little more and says so by a rate."""
    book = deployer.book
    vault = book.address("balancer_vault")
    factory = deployer.deploy(
        "balancer_stable_factory",
        AddressKind.FACTORY,
        _artifact(deployer, _STABLE_TASK, "ComposableStablePoolFactory"),
        ("address", "address", "string", "string"),
        vault,
        book.address("balancer_fees"),
        "v3",
        "p3",
    )
    rates = deployer.deploy(
        "balancer_ethx_rate",
        AddressKind.AUTHORITY,
        deployer.compiled["RateProvider"],
        ("address", "uint256"),
        OWNER,
        STABLE_RATE_WAD,
    )
    nobody = Address(bytes(20))
    weth, ethx = book.address("weth"), book.address("ethx")
    amounts = {weth: STABLE_WETH_WEI, ethx: STABLE_ETHX_WEI}
    tokens = tuple(sorted(amounts))
    providers = tuple(rates if token == ethx else nobody for token in tokens)
    parameters = (
        *("Stable WETH ETHX", "WETH-ETHX", tokens, STABLE_AMP, providers),
        *((STABLE_RATE_LIFE_S,) * 2, (False, False), STABLE_FEE_WAD, OWNER),
    )
    create = "create(string,string,address[],uint256,address[],uint256[],bool[],uint256,address)"
    pool = deployer.view_address(factory, create, *parameters)
    deployer.send(factory, create, *parameters)
    pool_id = deployer.rpc.view(pool, encode_call("getPoolId()", ()))
    deployer.record(
        "balstable_weth_ethx",
        AddressKind.POOL,
        pool,
        _artifact(deployer, _STABLE_TASK, "ComposableStablePool").source,
        token_class=TokenClass.RECEIPT,
        decimals=18,
        symbol="WETH-ETHX",
        reference=hex_text(pool_id),
    )
    deployer.send(ethx, "approve(address,uint256)", vault, UNLIMITED)
    # The pool's own shares are among its assets, and cannot be brought.
    assets = tuple(sorted((*tokens, pool)))
    maximum = tuple(amounts.get(token, UNLIMITED) for token in assets)
    brought = tuple(amounts.get(token, 0) for token in assets)
    deployer.send(
        vault,
        _JOIN,
        *(pool_id, OWNER, OWNER),
        (assets, maximum, abi_encode(["uint256", "uint256[]"], (_JOIN_INIT, brought)), False),
    )


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
        _JOIN,
        pool_id,
        OWNER,
        OWNER,
        (tokens, maximum, abi_encode(["uint256", "uint256[]"], (_JOIN_INIT, maximum)), False),
    )


def _artifact(deployer: Deployer, task: str, name: str) -> Artifact:
    return deployer.toolchain.package_artifact(_PACKAGE, f"dist/tasks/{task}/artifact/{name}.json")
