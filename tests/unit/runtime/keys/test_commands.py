"""Commands about keys: promised from the start on, and refused where they make no sense (KEY-2, KEY-3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.control.latch import Latch
from seawall.primitives.errors import InputError
from seawall.runtime.commands import Command
from seawall.runtime.configuration.loading import load_configuration
from seawall.runtime.kernel import Kernel
from seawall.runtime.keys.commands import KEY_COMMANDS
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import pipeline
from tests.unit.runtime.keys.test_changes_on_a_chain import keys_of


def test_who_asks_while_the_kernel_starts_is_told_to_wait_also_without_safes(tmp_path: Path) -> None:
    (tmp_path / "seawall.toml").write_text('[[chains]]\nchain_id = 31337\nrpc = ["http://127.0.0.1:1"]\n')
    configuration = load_configuration(tmp_path / "seawall.toml", {})
    kernel = Kernel(configuration, Latch(tmp_path / "latch.json"))
    assert set(KEY_COMMANDS) <= set(kernel._promised())


async def test_a_key_has_no_successor_that_is_itself_retired_or_unknown(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, keys=3) as found:
        keys = keys_of(found, ours=2)
        with pytest.raises(InputError, match="succeed itself"):
            await keys.retire(0, 0)
        with pytest.raises(InputError, match="no signer of chain"):
            await keys.retire(0, 2)
        await keys.retire(0, 1)
        with pytest.raises(InputError, match="is retired itself"):
            await keys.retire(1, 0)
        with pytest.raises(InputError, match="begun before"):
            await keys.retire(0, 1)
        with pytest.raises(InputError, match="not retired"):
            await keys.commands.keep(Command("keep_key", str(keys.lane(1)), "no", "me"))
        with pytest.raises(InputError, match="needs a reason"):
            await keys.commands.keep(Command("keep_key", str(keys.lane(0)), " ", "me"))
