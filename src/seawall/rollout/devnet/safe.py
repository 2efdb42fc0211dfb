"""Safe 1.4.1 from its authors' package, at the addresses that it has on every chain, and a funded Safe.

The treasury is a 2-of-3 of the traders, whose keys are public: it is there to be looked at and rehearsed
with. `steering.create_safe` makes others, for owners whose keys somebody holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from seawall.chain.addresses import AddressKind
from seawall.native import encode_call, keccak256
from seawall.primitives.errors import InputError, RolloutError
from seawall.primitives.units import ZERO_ADDRESS, Address, hex_text
from seawall.protocols.safe import known
from seawall.rollout.devnet.accounts import TRADERS
from seawall.rollout.devnet.deployer import ETHER, Deployer
from seawall.rollout.devnet.toolchain import Artifact

__all__ = ["creation_call", "deploy_safe"]

TREASURY_THRESHOLD: Final = 2
TREASURY_WEI: Final = 1_000 * ETHER
TREASURY_WETH_WEI: Final = 500 * ETHER
TREASURY_USDX: Final = 3_000_000 * 10**6
OWNERS_MAX: Final = 50

_PACKAGE: Final = "@safe-global/safe-contracts"
# The deterministic deployer, whose code fits in a line: CREATE2 of what follows the salt.
_FACTORY_CODE: Final = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f580151560"
    "39578182fd5b8082525050506014600cf3"
)
_PARTS: Final = (
    ("safe_singleton", "Safe.sol/Safe", known.SINGLETON),
    ("safe_l2_singleton", "SafeL2.sol/SafeL2", known.SINGLETON_L2),
    ("safe_proxy_factory", "proxies/SafeProxyFactory.sol/SafeProxyFactory", known.PROXY_FACTORY),
    (
        "safe_fallback_handler",
        "handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler",
        known.FALLBACK_HANDLER,
    ),
    ("safe_multi_send", "libraries/MultiSend.sol/MultiSend", known.MULTI_SEND),
    (
        "safe_multi_send_call_only",
        "libraries/MultiSendCallOnly.sol/MultiSendCallOnly",
        known.MULTI_SEND_CALL_ONLY,
    ),
)
_CREATE: Final = "createProxyWithNonce(address,bytes,uint256)"
_SETUP: Final = "setup(address[],uint256,address,bytes,address,address,uint256,address)"


def deploy_safe(deployer: Deployer) -> None:
    """Singletons, factory, fallback handler, both MultiSends, and the treasury with its funds."""
    deployer.rpc.call("anvil_setCode", hex_text(known.SINGLETON_FACTORY), hex_text(_FACTORY_CODE))
    for name, path, expected in _PARTS:
        artifact = _artifact(deployer, path)
        creation = bytes(32) + artifact.creation_code
        deployed = Address(
            keccak256(b"\xff" + known.SINGLETON_FACTORY + bytes(32) + keccak256(artifact.creation_code))[12:]
        )
        if deployed != expected:
            raise RolloutError(
                f"{name} is not the bytecode that its authors deployed", artifact.source, "run `make setup`"
            )
        deployer.send_data(known.SINGLETON_FACTORY, creation)
        deployer.record(name, AddressKind.SAFE, expected, artifact.source)
    creation = creation_call(TRADERS, TREASURY_THRESHOLD, salt=0)
    treasury = Address(deployer.rpc.view(known.PROXY_FACTORY, creation)[12:32])
    deployer.send_data(known.PROXY_FACTORY, creation)
    source = _artifact(deployer, "proxies/SafeProxy.sol/SafeProxy").source
    deployer.record("safe_treasury", AddressKind.SAFE, treasury, source)
    book = deployer.book
    deployer.rpc.call("anvil_setBalance", hex_text(treasury), hex(TREASURY_WEI))
    for token, amount in (("weth", TREASURY_WETH_WEI), ("usdx", TREASURY_USDX)):
        deployer.send(book.address(token), "transfer(address,uint256)", treasury, amount)


def creation_call(owners: Sequence[Address], threshold: int, salt: int) -> bytes:
    """What the factory is asked for: a Safe of these owners; the same question gives the same address."""
    if not 0 < len(owners) <= OWNERS_MAX or not 0 < threshold <= len(set(owners)) == len(owners):
        raise InputError(
            f"a Safe of {len(owners)} owners with threshold {threshold} cannot be",
            "devnet safe",
            f"name 1 to {OWNERS_MAX} different owners, and at most as many who must sign",
        )
    return encode_call(_CREATE, _proxy(owners, threshold, salt))


def _proxy(owners: Sequence[Address], threshold: int, salt: int) -> tuple[Address, bytes, int]:
    setup = encode_call(
        _SETUP,
        (
            list(owners),
            threshold,
            ZERO_ADDRESS,
            b"",
            known.FALLBACK_HANDLER,
            ZERO_ADDRESS,
            0,
            ZERO_ADDRESS,
        ),
    )
    return known.SINGLETON, setup, salt


def _artifact(deployer: Deployer, path: str) -> Artifact:
    return deployer.toolchain.package_artifact(_PACKAGE, f"build/artifacts/contracts/{path}.json")
