"""Relays and private lanes in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.chain.relays.settings import Dialect
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import NATIVE
from seawall.runtime.configuration.loading import load_configuration
from seawall.runtime.configuration.settings import ChainSettings

ETHER = 10**18
CHAIN = '[[chains]]\nchain_id = 1\nrpc = ["http://127.0.0.1:8545"]\n'
RELAY = '[[chains.relays]]\nname = "builder"\ndialect = "flashbots"\nurls = ["https://relay.example"]\n'
MIXED = '[chains.private]\nlanes = "mixed"\n'


def loaded(folder: Path, text: str) -> ChainSettings:
    (folder / "seawall.toml").write_text(CHAIN + text)
    return load_configuration(folder / "seawall.toml", {"TOKEN": "secret-of-the-relay"}).chains[0]


def test_without_relays_everything_is_public(tmp_path: Path) -> None:
    found = loaded(tmp_path, "")
    assert (found.relays, found.private.signers, found.private.thresholds) == ((), (), {})


def test_relay_takes_the_defaults_of_its_dialect_and_ten_native_tokens_go_privately(tmp_path: Path) -> None:
    found = loaded(tmp_path, RELAY + MIXED)
    (access,) = found.relays
    assert (access.relay.dialect, access.relay.is_bundle) == (Dialect.FLASHBOTS, True)
    assert access.keystore is None
    assert found.private.thresholds == {NATIVE: 10 * ETHER}
    assert found.private.is_mixed


def test_everything_that_may_be_said_arrives(tmp_path: Path) -> None:
    text = RELAY + (
        'send = "transaction"\nkeystore = "keys/relay.json"\npassword_environment = "WORD"\n'
        'authorization = "environment:TOKEN"\nbuilders = ["one", "two"]\nanswer_timeout_s = 1.5\n'
        '[chains.private]\nlanes = "mixed"\nwindow_blocks = 9\nsuccess_bps_min = 2500\n'
        '[[chains.private.above]]\ntoken = "native"\namount = "2.5"\n'
    )
    found = loaded(tmp_path, text)
    (access,) = found.relays
    relay = access.relay
    assert (relay.is_bundle, relay.builders, relay.answer_timeout_s) == (False, ("one", "two"), 1.5)
    assert access.keystore == tmp_path / "keys/relay.json"
    assert access.authorization is not None
    assert access.authorization.read().reveal() == "secret-of-the-relay"
    assert (found.private.window_blocks, found.private.success_bps_min) == (9, 2_500)
    assert found.private.thresholds == {NATIVE: 5 * ETHER // 2}
    assert "secret-of-the-relay" not in repr(found)
    assert "relay.example" not in repr(access).replace("host='relay.example'", "")


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (RELAY, "chains[0].private.signers", "no lane is kept"),
        (MIXED, "chains[0].private", "no relays"),
        (RELAY + '[chains.private]\nsigners = ["nobody"]\n', "private.signers[0]", "no signer 'nobody'"),
        (RELAY.replace("flashbots", "smoke"), "relays[0].dialect", "not one of the choices"),
        (
            RELAY.replace("flashbots", "private_rpc") + 'send = "bundle"\n' + MIXED,
            "relays[0].send",
            "takes no bundles",
        ),
        (
            RELAY.replace("flashbots", "mev_share") + 'send = "transaction"\n' + MIXED,
            "relays[0].send",
            "takes no single private",
        ),
        (RELAY + RELAY + MIXED, "relays[1].name", "is taken"),
        (RELAY.replace("builder", "public") + MIXED, "relays[0].name", "is taken"),
        (RELAY + 'keystore = "k.json"\n' + MIXED, "relays[0]", "exactly one source"),
        (RELAY + 'password_file = "p"\n' + MIXED, "relays[0].password_file", "without its keystore"),
        (
            RELAY.replace("flashbots", "bloxroute") + 'keystore = "k.json"\n' + MIXED,
            "relays[0].keystore",
            "wants no signature",
        ),
        (RELAY + "urls2 = 1\n" + MIXED, "relays[0].urls2", "not known"),
        (RELAY.replace("https://", "ws://") + MIXED, "relays[0].urls[0]", "cannot be used"),
        (RELAY + 'authorization = "my token"\n' + MIXED, "relays[0].authorization", "not the place"),
        (RELAY + MIXED + "window_blocks = 0\n", "private.window_blocks", "out of range"),
        (
            RELAY + MIXED + '[[chains.private.above]]\ntoken = "native"\namount = "1"\n' * 2,
            "above[1].token",
            "there twice",
        ),
    ],
)
def test_wrong_setting_is_named_by_its_key(tmp_path: Path, text: str, where: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert what in caught.value.what
    assert where in caught.value.where
