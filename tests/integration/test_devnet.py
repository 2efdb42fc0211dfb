"""The devnet on a true anvil: what is deployed works, is what it claims to be, and survives saving."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from seawall.chain.addresses import AddressBook, AddressKind
from seawall.native import abi_decode, encode_call, keccak256
from seawall.primitives.errors import InputError, RolloutError
from seawall.primitives.units import Address
from seawall.protocols.executor.encoding import Execution, encode_operations
from seawall.protocols.executor.operations import Call, Flash, Loan, Measure, Measured, SwapV2, SwapV3
from seawall.rollout.devnet import (
    GUARDIAN,
    OWNER,
    PAUSER,
    TRADERS,
    Devnet,
    DevnetInfo,
    DevnetSettings,
    Trader,
    down,
    load,
    node,
    running,
    save,
    status,
    up,
)
from seawall.rollout.devnet.build import BuiltState, build_state
from seawall.rollout.devnet.deployer import ETHER, AbiValue
from seawall.rollout.devnet.node import is_alive
from seawall.rollout.devnet.rpc import DevnetRpc, NodeRefusedError, as_int
from seawall.rollout.devnet.steering import authorise, mine, reorg, revert, set_feed, snapshot
from seawall.rollout.devnet.tokens import ETH_PRICE_USDX, USDX_UNIT
from seawall.rollout.devnet.toolchain import COMPILED_FOLDER, Toolchain
from seawall.rollout.devnet.uniswap import V2_INIT_CODE_HASH, V3_INIT_CODE_HASH

pytestmark = pytest.mark.anvil

QUOTE = "quoteExactInputSingle((address,address,uint256,uint24,uint160))"
PRICE = ETH_PRICE_USDX * USDX_UNIT


def block(devnet: Devnet, tag: str) -> dict[str, int | str]:
    found = devnet.rpc.record("eth_getBlockByNumber", tag, False)
    return {
        "hash": str(found["hash"]),
        "number": as_int(found["number"], tag),
        "timestamp": as_int(found["timestamp"], tag),
        "base_fee": as_int(found["baseFeePerGas"], tag),
    }


def ask(
    devnet: Devnet, name: str, signature: str, answer: list[str], *values: AbiValue
) -> tuple[object, ...]:
    return abi_decode(answer, devnet.rpc.view(devnet.book.address(name), encode_call(signature, values)))


def number(devnet: Devnet, name: str, signature: str, *values: AbiValue) -> int:
    (value,) = ask(devnet, name, signature, ["uint256"], *values)
    assert isinstance(value, int)
    return value


def act(devnet: Devnet, name: str, signature: str, *values: AbiValue, sender: Address = TRADERS[0]) -> None:
    sent = devnet.rpc.send(sender, devnet.book.address(name), encode_call(signature, values))
    devnet.rpc.settle([sent], mine=True)


class TestWhatIsDeployed:
    def test_every_entry_of_the_book_has_the_recorded_code(self, shared_devnet: Devnet) -> None:
        shared_devnet.book.verify(shared_devnet.rpc)
        assert len(shared_devnet.book) >= 23

    def test_the_book_says_where_each_bytecode_came_from(self, shared_devnet: Devnet) -> None:
        assert all(
            "@" in entry.source or entry.source.startswith(("devnet/", "contracts/"))
            for entry in shared_devnet.book
        )

    def test_an_emptied_chain_fails_verification(self, shared_devnet: Devnet) -> None:
        strangers = AddressBook(31337, [next(iter(shared_devnet.book))])

        class Empty:
            def codes(self, addresses: object) -> list[bytes]:
                return [b""]

        with pytest.raises(RolloutError, match=r"weth .* has no code"):
            strangers.verify(Empty())

    def test_init_code_hashes_are_mainnets(self, shared_devnet: Devnet) -> None:
        weth, usdx = sorted((shared_devnet.book.address("weth"), shared_devnet.book.address("usdx")))
        pair = keccak256(
            b"\xff"
            + shared_devnet.book.address("uniswap_v2_factory")
            + keccak256(weth + usdx)
            + V2_INIT_CODE_HASH
        )[12:]
        assert pair == shared_devnet.book.address("uniswap_v2_weth_usdx")
        salt = keccak256(bytes(12) + weth + bytes(12) + usdx + (3000).to_bytes(32))
        pool = keccak256(
            b"\xff" + shared_devnet.book.address("uniswap_v3_factory") + salt + V3_INIT_CODE_HASH
        )[12:]
        assert pool == shared_devnet.book.address("uniswap_v3_weth_usdx_3000")

    def test_markets_agree_on_the_price(self, shared_devnet: Devnet) -> None:
        weth, usdx = shared_devnet.book.address("weth"), shared_devnet.book.address("usdx")
        quotes = [
            number(shared_devnet, "uniswap_v3_quoter", QUOTE,
                   (weth, usdx, ETHER, fee, 0))
            for fee in (500, 3000)
        ]  # fmt: skip
        (amounts,) = ask(
            shared_devnet,
            "uniswap_v2_router",
            "getAmountsOut(uint256,address[])",
            ["uint256[]"],
            ETHER,
            [weth, usdx],
        )
        assert isinstance(amounts, (list, tuple))
        quotes.append(int(str(amounts[1])))
        assert all(PRICE * 99 // 100 < quote < PRICE for quote in quotes)
        assert number(shared_devnet, "feed_eth_usd", "latestAnswer()") == ETH_PRICE_USDX * 10**8

    def test_a_large_v3_swap_crosses_ticks(self, shared_devnet: Devnet) -> None:
        weth, usdx = shared_devnet.book.address("weth"), shared_devnet.book.address("usdx")
        _, _, crossed, _ = ask(
            shared_devnet,
            "uniswap_v3_quoter",
            QUOTE,
            ["uint256", "uint160", "uint32", "uint256"],
            (weth, usdx, 500 * ETHER, 3000, 0),
        )
        assert isinstance(crossed, int)
        assert crossed >= 1

    def test_the_vault_can_lend_thousands_of_weth(self, shared_devnet: Devnet) -> None:
        assert (
            number(shared_devnet, "weth", "balanceOf(address)", shared_devnet.book.address("balancer_vault"))
            >= 5_000 * ETHER
        )

    def test_multicall_is_at_its_canonical_address(self, shared_devnet: Devnet) -> None:
        entry = shared_devnet.book["multicall3"]
        assert entry.address.hex() == "ca11bde05977b3631167028862be2a173976ca11"
        assert (
            number(shared_devnet, "multicall3", "getBlockNumber()")
            == block(shared_devnet, "latest")["number"]
        )

    def test_feeds_are_fresh_and_the_base_fee_is_sane(self, devnet: Devnet) -> None:
        latest = block(devnet, "latest")
        age_s = int(latest["timestamp"]) - number(devnet, "feed_eth_usd", "latestTimestamp()")
        assert 0 <= age_s < 60
        assert latest["base_fee"] == 10**9

    def test_safe_and_final_trail_by_two_and_four(self, shared_devnet: Devnet) -> None:
        latest, safe, final = (
            int(block(shared_devnet, tag)["number"]) for tag in ("latest", "safe", "finalized")
        )
        assert (latest - safe, latest - final) == (2, 4)

    def test_state_at_the_final_block_can_be_read_by_hash(self, devnet: Devnet) -> None:
        final = block(devnet, "finalized")
        assert devnet.rpc.integer("eth_getBalance", "0x" + OWNER.hex(), {"blockHash": final["hash"]}) > 0


class TestTraders:
    @pytest.mark.parametrize("venue", ["v2", "v3", "balancer"])
    def test_a_swap_pays_out_near_the_price(self, shared_devnet: Devnet, venue: str) -> None:
        trader = Trader(shared_devnet, TRADERS[1])
        before = trader.balance("usdx")
        if venue == "v2":
            trader.swap_v2("weth", "usdx", ETHER)
        elif venue == "v3":
            trader.swap_v3("weth", "usdx", 500, ETHER)
        else:
            trader.swap_balancer("weth", "usdx", ETHER)
        assert PRICE * 98 // 100 < trader.balance("usdx") - before < PRICE

    @pytest.mark.parametrize("gap_bps", [300, -300])
    def test_a_price_gap_has_the_size_asked_for(self, devnet: Devnet, gap_bps: int) -> None:
        weth, usdx = devnet.book.address("weth"), devnet.book.address("usdx")

        def price() -> float:
            reserves = ask(devnet, "uniswap_v2_weth_usdx", "getReserves()", ["uint112", "uint112", "uint32"])
            first, second = int(str(reserves[0])), int(str(reserves[1]))
            return second / first if weth < usdx else first / second

        before = price()
        Trader(devnet).open_gap_v2("weth", "usdx", gap_bps)
        assert price() / before == pytest.approx(1 + gap_bps / 10_000, abs=2e-4)

    def test_an_absurd_gap_is_refused(self, shared_devnet: Devnet) -> None:
        with pytest.raises(InputError, match="cannot be opened"):
            Trader(shared_devnet).open_gap_v2("weth", "usdx", 9_000)

    def test_a_swap_beyond_the_balance_names_the_reason(self, shared_devnet: Devnet) -> None:
        with pytest.raises(NodeRefusedError, match="TRANSFER_FROM_FAILED"):
            Trader(shared_devnet).swap_v2("usdx", "weth", 10**18)


class TestDebtDesk:
    def test_borrowing_raises_the_debt_token_and_repaying_clears_it(self, devnet: Devnet) -> None:
        account = TRADERS[0]
        assert number(devnet, "debt_desk", "healthFactor(address)", account) == 2**256 - 1
        act(devnet, "debt_desk", "deposit(uint256)", 10 * ETHER)
        act(devnet, "debt_desk", "borrow(uint256)", 10_000 * USDX_UNIT)
        owed = number(devnet, "debt_usdx", "balanceOf(address)", account)
        assert owed >= 10_000 * USDX_UNIT
        # 10 WETH at 2,500 weighted by 80 % over 10,000.
        assert number(devnet, "debt_desk", "healthFactor(address)", account) == pytest.approx(
            2 * ETHER, rel=1e-6
        )
        devnet.rpc.call("evm_increaseTime", 30 * 86_400)
        mine(devnet)
        assert number(devnet, "debt_usdx", "balanceOf(address)", account) > owed
        act(devnet, "debt_desk", "repay(uint256,address)", 20_000 * USDX_UNIT, account)
        assert number(devnet, "debt_usdx", "balanceOf(address)", account) == 0

    def test_borrowing_too_much_is_refused(self, shared_devnet: Devnet) -> None:
        with pytest.raises(NodeRefusedError, match="revert"):
            act(shared_devnet, "debt_desk", "borrow(uint256)", USDX_UNIT, sender=TRADERS[2])

    def test_debt_cannot_be_moved(self, shared_devnet: Devnet) -> None:
        with pytest.raises(NodeRefusedError, match="revert"):
            act(shared_devnet, "debt_usdx", "transfer(address,uint256)", OWNER, 0)


class TestExecutor:
    def test_a_stranger_is_refused_and_an_authorised_operator_is_known(self, devnet: Devnet) -> None:
        operator, beneficiary = TRADERS[2], TRADERS[1]
        assert number(devnet, "atomic_executor", "rolesOf(address)", operator) == 0
        authorise(devnet, operator, beneficiary)
        assert number(devnet, "atomic_executor", "rolesOf(address)", operator) == 1
        assert number(devnet, "atomic_executor", "rolesOf(address)", PAUSER) == 2
        assert number(devnet, "atomic_executor", "rolesOf(address)", GUARDIAN) == 4
        assert number(devnet, "atomic_executor", "beneficiary()") == int.from_bytes(beneficiary)

    def test_a_flash_loan_closes_a_price_gap_for_the_beneficiary(self, devnet: Devnet) -> None:
        operator, beneficiary = TRADERS[2], Address(b"\x77" * 20)
        authorise(devnet, operator, beneficiary)
        Trader(devnet).open_gap_v2("weth", "usdx", 300)
        book = devnet.book
        weth, usdx = book.address("weth"), book.address("usdx")
        operations = (
            SwapV2(
                book.address("uniswap_v2_factory"),
                weth,
                usdx,
                10 * ETHER,
                measure=(Measure("dollars", usdx),),
            ),
            SwapV3(book.address("uniswap_v3_factory"), usdx, weth, 500, Measured("dollars")),
        )
        loan = Flash(book.address("balancer_vault"), (Loan(weth, 10 * ETHER),), operations)
        execution = Execution(encode_operations((loan,)), (), 2**40, 0, weth)
        data = execution.calldata(intent_id=7, plan_digest=b"\x11" * 32, max_fee_wei=10**15)
        devnet.rpc.settle([devnet.rpc.send(operator, book.address("atomic_executor"), data)], mine=True)
        assert number(devnet, "weth", "balanceOf(address)", beneficiary) > ETHER // 10
        assert number(devnet, "atomic_executor", "isExecuted(uint256)", 7) == 1

    def test_listed_wrapping_passes_and_an_unlisted_call_is_refused(self, devnet: Devnet) -> None:
        operator = TRADERS[2]
        authorise(devnet, operator, OWNER)
        book = devnet.book

        def run(data: bytes, intent_id: int) -> None:
            call = encode_operations((Call(book.address("weth"), data),))
            execution = Execution(call, (), 2**40, 0, book.address("weth"))
            payload = execution.calldata(intent_id=intent_id, plan_digest=bytes(32), max_fee_wei=0)
            devnet.rpc.settle(
                [devnet.rpc.send(operator, book.address("atomic_executor"), payload)], mine=True
            )

        run(encode_call("withdraw(uint256)", (0,)), 1)
        with pytest.raises(NodeRefusedError):
            run(encode_call("transfer(address,uint256)", (operator, 0)), 2)


class TestSteering:
    def test_a_reorg_forgets_the_removed_transaction(self, devnet: Devnet) -> None:
        sent = Trader(devnet).swap_v2("weth", "usdx", ETHER)
        mine(devnet, 1)
        before = block(devnet, "latest")
        reorg(devnet, 2)
        after = block(devnet, "latest")
        assert after["number"] == before["number"]
        assert after["hash"] != before["hash"]
        assert devnet.rpc.call("eth_getTransactionByHash", "0x" + sent.hex()) is None
        pool = devnet.rpc.record("txpool_status")
        assert (pool["pending"], pool["queued"]) == ("0x0", "0x0")

    def test_a_feed_is_set_and_a_snapshot_brings_the_old_answer_back(self, devnet: Devnet) -> None:
        taken = snapshot(devnet)
        set_feed(devnet, "feed_eth_usd", 2_600 * 10**8)
        assert number(devnet, "feed_eth_usd", "latestAnswer()") == 2_600 * 10**8
        revert(devnet, taken)
        assert number(devnet, "feed_eth_usd", "latestAnswer()") == ETH_PRICE_USDX * 10**8
        with pytest.raises(RolloutError, match="is gone"):
            revert(devnet, taken)

    @pytest.mark.parametrize("depth", [0, 65])
    def test_a_reorg_out_of_bounds_is_refused(self, shared_devnet: Devnet, depth: int) -> None:
        with pytest.raises(InputError, match="cannot reorganise"):
            reorg(shared_devnet, depth)


class TestLifecycle:
    def test_up_status_and_down_agree(self, built_devnet: BuiltState, tmp_path: Path) -> None:
        info = up(DevnetSettings(tmp_path))
        try:
            found = status(tmp_path)
            assert found is not None
            assert found.info == info
            assert found.latest - found.final == 4
            with pytest.raises(RolloutError, match="runs already"):
                up(DevnetSettings(tmp_path))
        finally:
            assert down(tmp_path)
        assert not is_alive(info.pid)
        assert status(tmp_path) is None
        assert not down(tmp_path)

    def test_saved_and_loaded_devnet_keeps_balances_and_history(self, devnet: Devnet, tmp_path: Path) -> None:
        trader = Trader(devnet)
        sent = trader.swap_v2("weth", "usdx", 3 * ETHER)
        held = trader.balance("usdx")
        head = block(devnet, "latest")
        path = tmp_path / "deep" / "saved.gz"
        save(devnet.info.log.parent, path)
        loaded = Devnet.attach(load(path, DevnetSettings(tmp_path / "second")))
        try:
            loaded.book.verify(loaded.rpc)
            assert Trader(loaded).balance("usdx") == held
            assert block(loaded, hex(int(head["number"])))["hash"] == head["hash"]
            assert loaded.rpc.record("eth_getTransactionReceipt", "0x" + sent.hex())["status"] == "0x1"
        finally:
            loaded.close()
            down(tmp_path / "second")

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"not gzip",
            gzip.compress(b"not json", mtime=0),
            gzip.compress(b"[]", mtime=0),
            gzip.compress(json.dumps({"format": 9}).encode(), mtime=0),
        ],
    )
    def test_an_unusable_saved_file_is_refused(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "saved.gz"
        path.write_bytes(content)
        with pytest.raises(RolloutError, match="saved devnet"):
            load(path, DevnetSettings(tmp_path / "run"))

    def test_a_folder_that_cannot_be_written_is_named(self, devnet: Devnet, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(RolloutError, match="cannot be written"):
            save(devnet.info.log.parent, tmp_path / "file" / "saved.gz")
        with pytest.raises(RolloutError, match="cannot be written"):
            up(DevnetSettings(tmp_path / "file" / "run"))
        with pytest.raises(RolloutError, match="SEAWALL_CACHE"):
            build_state(Toolchain.discover(os.environ), tmp_path / "file" / "cache")

    def test_saving_without_a_devnet_says_how_to_start_one(self, tmp_path: Path) -> None:
        with pytest.raises(RolloutError, match="seawall devnet up"):
            save(tmp_path, tmp_path / "saved.gz")

    def test_manual_mining_waits_for_the_command(self, built_devnet: BuiltState, tmp_path: Path) -> None:
        with running(DevnetSettings(tmp_path, manual_mining=True)) as manual:
            head = block(manual, "latest")["number"]
            sent = Trader(manual).swap_v2("weth", "usdx", ETHER, mine=False)
            assert manual.rpc.call("eth_getTransactionReceipt", "0x" + sent.hex()) is None
            assert block(manual, "latest")["number"] == head
            mine(manual)
            assert manual.rpc.record("eth_getTransactionReceipt", "0x" + sent.hex())["status"] == "0x1"

    def test_a_block_time_makes_blocks_by_itself(self, built_devnet: BuiltState, tmp_path: Path) -> None:
        with running(DevnetSettings(tmp_path, block_time_s=0.1)) as timed:
            sent = Trader(timed).swap_v2("weth", "usdx", ETHER, mine=False)
            (receipt,) = timed.rpc.settle([sent], mine=False)
            assert receipt["status"] == "0x1"

    def test_a_taken_port_is_reported_with_the_log(self, devnet: Devnet, tmp_path: Path) -> None:
        port = int(devnet.info.rpc_url.rsplit(":", 1)[1])
        with pytest.raises(RolloutError, match="anvil"):
            up(DevnetSettings(tmp_path, port=port))
        assert status(tmp_path) is None

    def test_a_node_that_hangs_is_still_stopped(
        self, built_devnet: BuiltState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(node, "STOP_SEQUENCE", ((signal.SIGTERM, 0.1), (signal.SIGKILL, 5.0)))
        info = up(DevnetSettings(tmp_path))
        os.kill(info.pid, signal.SIGSTOP)
        try:
            assert down(tmp_path)
        finally:
            if is_alive(info.pid):
                os.kill(info.pid, signal.SIGKILL)
        assert not is_alive(info.pid)

    def test_a_reused_process_id_is_not_taken_for_the_devnet(self, devnet: Devnet, tmp_path: Path) -> None:
        stale = DevnetInfo(
            "http://127.0.0.1:9", "ws://127.0.0.1:9", os.getpid(), 31337, tmp_path, tmp_path, ""
        )
        document = {name: str(getattr(stale, name)) for name in DevnetInfo.__dataclass_fields__}
        (tmp_path / "devnet.json").write_text(json.dumps(document))
        assert not down(tmp_path)
        assert is_alive(os.getpid())


class TestBuild:
    def test_building_anew_gives_the_same_addresses_and_code(
        self, toolchain: Toolchain, built_devnet: BuiltState, tmp_path: Path
    ) -> None:
        # What sources compile to is the compiler's affair, and takes half a minute.
        shutil.copytree(built_devnet.state.parents[1] / COMPILED_FOLDER, tmp_path / COMPILED_FOLDER)
        again = build_state(toolchain, tmp_path)
        assert not again.from_cache
        assert again.digest == built_devnet.digest
        assert again.book().to_json() == built_devnet.book().to_json()
        assert build_state(toolchain, tmp_path).from_cache
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            [".lock", COMPILED_FOLDER, again.digest]
        )

    def test_a_foreign_endpoint_is_refused(self) -> None:
        with pytest.raises(RolloutError, match="not a node on this machine"):
            DevnetRpc("http://192.0.2.1:8545")

    def test_the_book_has_the_pools_that_plans_trade_in(self, built_devnet: BuiltState) -> None:
        names = {entry.name for entry in built_devnet.book().of_kind(AddressKind.POOL)}
        assert names >= {
            "balancer_weth_usdx",
            "uniswap_v2_weth_ethx",
            "uniswap_v2_weth_usdx",
            "uniswap_v3_weth_usdx_3000",
            "uniswap_v3_weth_usdx_500",
        }
