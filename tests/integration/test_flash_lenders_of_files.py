"""Every lender of the devnet through a strategy file: simulated on its contracts, admitted, and landed."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.primitives.levels import IntentState
from seawall.protocols.executor.policy import LenderKind, LenderPolicy, Policy, registry_calls
from seawall.rollout.devnet import OWNER, Devnet, Trader
from seawall.rollout.devnet.steering import authorise
from tests.fixtures.kernel import KernelFolder
from tests.integration.test_bad_input import Tried

pytestmark = pytest.mark.anvil

GAP_BPS = 300
LENDERS = {
    "balancer_vault": (LenderKind.BALANCER_V2, 0),
    "aave_pool": (LenderKind.AAVE_V3, 5),
    "spark_pool": (LenderKind.AAVE_V3, 5),
    "morpho": (LenderKind.MORPHO_BLUE, 0),
    "uniswap_v3_weth_usdx_3000": (LenderKind.UNISWAP_V3, 30),
    "flash_lender": (LenderKind.ERC3156, 4),
}
# The kind of a lender that its name does not tell.
KINDS = {"flash_lender": "kind: erc3156"}
FILE = """\
strategy: borrower
chain: 31337
accounting: weth
min_profit: 0.0001 weth
steps:
  - flash:
      from: {lender}
      {kind}
      borrow: {borrowed}
      max_fee: {fee} bps
      steps:
        - swap: {{on: "uniswap_v2:weth-usdx", give: weth, get: usdx, amount: 1 weth, as: dollars}}
        - swap: {{on: "uniswap_v3:weth-usdx-500", give: usdx, get: weth, amount: dollars}}
"""
FOR_THE_FEE = """
        - swap: {on: "uniswap_v3:weth-usdx-3000", give: weth, get: usdx, amount: 0.001 weth}
"""
SECTION = """
[[strategies]]
name = "borrower"
file = "borrower.yaml"
chain_id = 31337
signer = "main"
mode = "live"
"""


def lists(devnet: Devnet, name: str, kind: LenderKind) -> None:
    book, rpc = devnet.book, devnet.rpc
    lender = LenderPolicy(book.address(name), kind)
    for call in registry_calls(Policy(book.address("atomic_executor"), lenders=(lender,))):
        rpc.settle([rpc.send(OWNER, book.address("policy_registry"), call)], mine=True)


@pytest.fixture(scope="module")
def folder(shared_devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> KernelFolder:
    """The executor may borrow everywhere, and a gap is open."""
    made = KernelFolder(tmp_path_factory.mktemp("lenders") / "k", shared_devnet)
    made.write()
    authorise(shared_devnet, made.key, made.key)
    Trader(shared_devnet).open_gap_v2("weth", "usdx", GAP_BPS)
    for name, (kind, _) in LENDERS.items():
        if name != "balancer_vault":
            lists(shared_devnet, name, kind)
    return made


@pytest.fixture
def tried(folder: KernelFolder, capsys: pytest.CaptureFixture[str]) -> Tried:
    return Tried(folder, capsys)


def file_of(lender: str, fee: int, borrowed: str = "{weth: 1 weth}") -> str:
    text = FILE.format(lender=lender, fee=fee, borrowed=borrowed, kind=KINDS.get(lender, ""))
    return "\n".join(line for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("lender", LENDERS)
def test_loan_of_each_lender_is_admitted_and_its_money_goes_back(tried: Tried, lender: str) -> None:
    code, told = tried.run("explain", file_of(lender, LENDERS[lender][1]))
    assert (code, told["admitted"]) == (0, True), told["explanation"]
    assert told["steps"][0]["verb"] == "flash"
    sources = {flow["from"] for flow in told["flows"]} | {flow["to"] for flow in told["flows"]}
    lent_by = {"aave_pool": "a_weth", "spark_pool": "sp_weth"}.get(lender, lender)
    assert lent_by in sources
    paid = [flow for flow in told["flows"] if flow["to"] == lent_by]
    assert paid


@pytest.mark.parametrize("lender", [name for name, (_, fee) in LENDERS.items() if fee])
def test_fee_above_what_the_file_admits_is_refused(tried: Tried, lender: str) -> None:
    fee = LENDERS[lender][1]
    assert "asked back, the plan allows" in tried.refusal(file_of(lender, fee - 1))


@pytest.mark.parametrize(("lender", "fee"), [("balancer_vault", 0), ("aave_pool", 5)])
def test_several_tokens_of_one_lender(tried: Tried, shared_devnet: Devnet, lender: str, fee: int) -> None:
    """Aave has a function of its own for them, which the policy lists in place of the simple one."""
    if lender == "aave_pool":
        lists(shared_devnet, lender, LenderKind.AAVE_V3_MULTI)
    text = file_of(lender, fee, "{weth: 1 weth, usdx: 100 usdx}") + FOR_THE_FEE
    try:
        code, told = tried.run("simulate", text)
    finally:
        if lender == "aave_pool":
            lists(shared_devnet, lender, LenderKind.AAVE_V3)
    assert (code, told["admitted"]) == (0, True), told["explanation"]


@pytest.mark.parametrize("lender", ["aave_pool", "flash_lender"])
def test_loan_of_one_that_pulls_its_fee_lands_through_a_true_kernel(
    shared_devnet: Devnet, tmp_path: Path, lender: str
) -> None:
    """The profit that the file asks for is left over it."""
    folder = KernelFolder(tmp_path / "k", shared_devnet)
    folder.write()
    authorise(shared_devnet, folder.key, folder.key)
    Trader(shared_devnet).open_gap_v2("weth", "usdx", GAP_BPS)
    lists(shared_devnet, lender, LENDERS[lender][0])
    (folder.directory / "borrower.yaml").write_text(file_of(lender, LENDERS[lender][1]))
    folder.strategies.append(SECTION)
    folder.write()

    def landed() -> bool:
        return any(row.state is IntentState.LANDED for row in folder.books.intents())

    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(landed, "the loan was taken, and paid back")
    assert folder.on_chain()[0].succeeded
