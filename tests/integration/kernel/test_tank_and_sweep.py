"""The gas tank and the profit sweep in one true kernel: keys are refuelled and profit leaves, as ordinary
judged plans (TX-11).
"""

from __future__ import annotations

from pathlib import Path

from seawall.primitives.levels import IntentState
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.steering import fund
from tests.fixtures.kernel import ETHER, KernelFolder, deposit

POOR, POORER, COLD = Address(b"\xa1" * 20), Address(b"\xa2" * 20), Address(b"\xcc" * 20)
MAX_FEE = 'max_fee_per_gas_wei = "500_000_000_000"\nmulticall = "@multicall3"'


def tank() -> str:
    keys = (
        f'[[strategies.settings.keys]]\naddress = "{address_text(address)}"\n'
        f'low_wei = "{ETHER}"\ntarget_wei = "{2 * ETHER}"\nday_wei_max = "{5 * ETHER}"'
        for address in (POOR, POORER)
    )
    return "\n".join((f'keep_wei = "{ETHER}"', MAX_FEE, *keys))


def sweep() -> str:
    token = f'[[strategies.settings.tokens]]\ntoken = "@weth"\nkeep = "{ETHER}"\nleast = "{ETHER}"'
    return "\n".join((f'cold = "{address_text(COLD)}"', MAX_FEE, token))


def test_keys_are_refuelled_and_profit_is_swept(manual_devnet: Devnet, tmp_path: Path) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    fund(manual_devnet, POOR, ETHER // 2)
    folder.scripted(deposit(4 * ETHER), name="earner")
    folder.strategy("tank", "seawall.strategies.gas_tank:GasTank", tank())
    folder.strategy("sweep", "seawall.strategies.profit_sweep:ProfitSweep", sweep())
    weth = manual_devnet.book.address("weth")
    with folder.run() as kernel:
        kernel.wait_ready()
        rows = folder.settle(4)
    assert {row.state for row in rows} == {IntentState.LANDED}, [(row.plan.note, row.reason) for row in rows]
    assert sorted(row.strategy for row in rows) == ["earner", "sweep", "tank", "tank"]
    last = folder.number()
    assert [folder.balance(NATIVE, last, key) for key in (POOR, POORER)] == [2 * ETHER] * 2
    assert [folder.balance(weth, last, holder) for holder in (COLD, folder.key)] == [3 * ETHER, ETHER]
    for row in rows:
        assert [one.verdict.admitted for one in folder.books.verdicts(row.number)][-1:] == [True]
    folder.assert_books_balance()
