"""What a true kernel hears before blocks, and the logs that it keeps, over restarts."""

from __future__ import annotations

from pathlib import Path

from seawall.ledger.logs import LogSource
from seawall.native import encode_call, event_topic
from seawall.primitives.units import hex_text
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import TRADERS
from seawall.rollout.devnet.steering import mine, reorg
from tests.fixtures.kernel import KernelFolder, wait_until

DEPOSIT = encode_call("deposit()", ())
SIGHTED_BYTES = 40
KEPT = """
[[chains.logs]]
name = "weth"
addresses = ["@weth"]
events = ["Deposit(address,uint256)"]
first_block = 0
"""


def deposits(devnet: Devnet, count: int) -> None:
    for value_wei in range(1, count + 1):
        sent = devnet.rpc.send(TRADERS[0], devnet.book.address("weth"), DEPOSIT, value_wei=value_wei)
        devnet.rpc.settle([sent], mine=True)


def source_of(folder: KernelFolder) -> LogSource | None:
    return folder.books.read(lambda tx: tx.logs.find("31337:weth"))


def kept(folder: KernelFolder) -> list[tuple[str, str]]:
    source = source_of(folder)
    assert source is not None
    found = folder.books.read(lambda tx: tx.logs.between(source, 0, 10**9, 10**6))
    return [(hex_text(log.block_hash), hex_text(log.transaction_hash)) for log in found]


def on_chain(devnet: Devnet) -> list[tuple[str, str]]:
    topic = hex_text(event_topic("Deposit(address,uint256)"))
    found = devnet.rpc.call(
        "eth_getLogs",
        {
            "address": hex_text(devnet.book.address("weth")),
            "topics": [topic],
            "fromBlock": "0x0",
            "toBlock": "latest",
        },
    )
    assert isinstance(found, list)
    shown = [log for log in found if isinstance(log, dict)]
    return [(str(log["blockHash"]), str(log["transactionHash"])) for log in shown]


def test_strategy_is_told_of_a_transaction_before_its_block(manual_devnet: Devnet, tmp_path: Path) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    socket = manual_devnet.info.rpc_url.replace("http", "ws")
    folder.chain_extra = f'[[chains.pending]]\nname = "pool"\nkind = "pool"\nurl = "{socket}"\n'
    weth = manual_devnet.book.address("weth")
    folder.strategy("lookout", "sighting_trials:Lookout", 'target = "@weth"')
    with folder.run() as kernel:
        kernel.wait_ready()
        mine(manual_devnet)

        def connected() -> bool:
            checks = kernel.health("/health")[1]["checks"]
            assert isinstance(checks, dict)
            return all(checks[name]["passed"] is True for name in ("pending:pool", "strategy:lookout"))

        wait_until(connected, "the feed is connected, and the strategy has told what it wants")
        number = folder.number()
        sent = manual_devnet.rpc.send(TRADERS[0], weth, DEPOSIT, value_wei=5)

        def told() -> bytes:
            return folder.books.read(lambda tx: tx.states.get("lookout"))[1]

        wait_until(lambda: len(told()) == SIGHTED_BYTES, "the strategy wrote down what it saw")
        assert folder.number() == number, "no block came in between"
        assert told()[:32] == sent
        assert int.from_bytes(told()[32:], "big") <= number


def test_kernel_keeps_logs_from_a_block_on_over_restarts_and_reorgs(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    deposits(manual_devnet, 3)
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    folder.chain_extra = KEPT
    folder.write()

    def is_level() -> bool:
        source = source_of(folder)
        return (
            source is not None
            and source.next_block > folder.number()
            and kept(folder) == on_chain(manual_devnet)
        )

    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(is_level, "the history is gathered")
        deposits(manual_devnet, 2)
        folder.pump(is_level, "what is new is followed")
        reorg(manual_devnet, 3)
        folder.pump(is_level, "a reorg takes back what it removed")
    deposits(manual_devnet, 2)
    assert not is_level()
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(is_level, "what happened during the stop is there")
        checks = kernel.health("/health")[1]["checks"]
        assert isinstance(checks, dict)
        assert checks["logs:31337:weth"]["passed"] is True


def test_strategy_builds_its_view_from_kept_logs_after_each_start(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    deposits(manual_devnet, 3)
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    folder.chain_extra = KEPT
    folder.strategy("archivist", "sighting_trials:Archivist", 'target = "@weth"')

    def has_all() -> bool:
        _, state = folder.books.read(lambda tx: tx.states.get("archivist"))
        return state == f"{len(on_chain(manual_devnet))} 0".encode()

    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(has_all, "the view holds the history")
        deposits(manual_devnet, 2)
        folder.pump(has_all, "the view follows")
        reorg(manual_devnet, 2)
        folder.pump(has_all, "the view forgets what a reorg removed")
    deposits(manual_devnet, 2)
    assert not has_all()
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(has_all, "a new process builds it anew")
