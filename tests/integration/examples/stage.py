"""A stage for one example: its file, a true kernel, an account of its own, and the chain to look at.

Flow: `open` (the account's policy is made from the files) -> the test prepares the world -> `play` runs the
kernel, `lands` waits for plans -> the test looks at the chain. What must hold after every example is held by
`assert_clean`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from typing_extensions import override

from seawall.chain.addresses import AddressBook
from seawall.ledger.rows import IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native import encode_call
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Address, Hash, hash_from_text, hex_text
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.own_account import account_for
from seawall.rollout.devnet.rpc import Json, as_int
from tests.fixtures.kernel import KernelFolder

__all__ = ["DOLLAR", "ETHER", "EXAMPLES", "Stage"]

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
ETHER = 10**18
DOLLAR = 10**6
VARIABLE_RATE = 2
STABLE_POOL = "curve_stable_usdx_redeemable_usd"
ETHER_FEED = ("native", "@weth", "@ethx", "@a_weth", "@a_ethx")
DOLLAR_FEED = ("@usdx", "@redeemable_usd", "@aave_debt_usdx")
PRICE = """\
[[chains.prices]]
token = "{token}"
feed = "{feed}"
"""
CHAIN = (
    'accounts = ["@my_account"]\n'
    + "".join(PRICE.format(token=token, feed="@feed_eth_usd") for token in ETHER_FEED)
    + "".join(PRICE.format(token=token, feed="@feed_usdx_usd") for token in DOLLAR_FEED)
    + """\
[[chains.shares]]
token = "@curve_stable_usdx_redeemable_usd"
of = "@redeemable_usd"
call = "get_virtual_price()"
[[chains.lending]]
kind = "aave"
pool = "@aave_pool"
[[chains.lending]]
kind = "morpho"
morpho = "@morpho"
loan = "@usdx"
collateral = "@weth"
oracle = "@morpho_oracle_weth_usdx_8600"
irm = "@morpho_irm"
lltv = "0.86"
"""
)
CAP = """
[[limits.positions]]
chain_id = 31337
token = "@{token}"
cap = "1000000"
decimals = {decimals}
"""
SPEND = """
[[signers.policies.spend]]
token = "@{token}"
per_hour = "10000000"
per_day = "10000000"
decimals = {decimals}
"""
FILE = """
[[strategies]]
name = "{name}"
file = "{name}.yaml"
chain_id = 31337
signer = "main"
mode = "live"
[strategies.settings]
{settings}
"""
LOSS = 'position_loss = "1000"\n'


class ExampleFolder(KernelFolder):
    """With limits for positions."""

    spending = ""

    @override
    def write(self) -> None:
        KernelFolder.write(self)
        text = self.configuration.read_text()
        text = text.replace("[limits]\n", "[limits]\n" + LOSS)
        self.configuration.write_text(text.replace("\n[hosts]\n", self.spending + "\n[hosts]\n"))


@dataclass
class Stage:
    devnet: Devnet
    directory: Path
    started_at: int = 0
    _may_trade_stable: bool = False

    @cached_property
    def folder(self) -> ExampleFolder:
        return ExampleFolder(self.directory / "k", self.devnet)

    @property
    def book(self) -> AddressBook:
        return self.devnet.book

    # ------------------------------------------------------------------ before

    def open(self, *names: str, **settings: str) -> Address:
        """The account for these examples, and the kernel's folder with them; `settings` are variables."""
        contents = {f"{name}.yaml": (EXAMPLES / f"{name}.yaml").read_bytes() for name in names}
        account = account_for(self.devnet, self.folder.key, self.folder.key, contents).address
        self.folder.chain_extra = CHAIN
        capped = {"weth", "usdx", "native", "debt_usdx"}
        for entry in self.book:
            if entry.decimals is not None and entry.name not in capped:
                self.folder.strategies.append(CAP.format(token=entry.name, decimals=entry.decimals))
                self.folder.spending += SPEND.format(token=entry.name, decimals=entry.decimals)
        lines = "\n".join(f'{name} = "{value}"' for name, value in settings.items())
        for name, content in contents.items():
            (self.folder.directory / name).write_bytes(content)
            self.folder.strategies.append(FILE.format(name=name.removesuffix(".yaml"), settings=lines))
        self.folder.write()
        return account

    def give(self, token: str, holder: Address, amount: int, giver: Address = OWNER) -> None:
        self.send(token, "transfer(address,uint256)", holder, amount, sender=giver)

    def send(
        self, target: str, signature: str, *values: Address | int | bytes | bool, sender: Address = OWNER
    ) -> None:
        rpc = self.devnet.rpc
        sent = rpc.send(sender, self.book.address(target), encode_call(signature, values))
        rpc.settle([sent], mine=True)

    def act(self, account: Address, target: str, signature: str, *values: Address | int | bool) -> None:
        """As the account itself, before the play: how a position came about is not what is shown."""
        rpc = self.devnet.rpc
        rpc.call("anvil_impersonateAccount", hex_text(account))
        balance = rpc.integer("eth_getBalance", hex_text(account), "latest")
        rpc.call("anvil_setBalance", hex_text(account), hex(ETHER))
        self.send(target, signature, *values, sender=account)
        rpc.call("anvil_setBalance", hex_text(account), hex(balance))
        rpc.call("anvil_stopImpersonatingAccount", hex_text(account))

    def owes_at_aave(self, account: Address, collateral: str, amount: int, debt_usdx: int) -> None:
        """Collateral of the owner's, in the account's name, and a debt of the account."""
        token = self.book.address(collateral)
        self.send(collateral, "approve(address,uint256)", self.book.address("aave_pool"), amount)
        self.send("aave_pool", "supply(address,uint256,address,uint16)", token, amount, account, 0)
        usdx = self.book.address("usdx")
        borrow = "borrow(address,uint256,uint256,uint16,address)"
        self.act(account, "aave_pool", borrow, usdx, debt_usdx, VARIABLE_RATE, 0, account)
        self.act(account, "usdx", "transfer(address,uint256)", OWNER, debt_usdx)

    def trade_stable(self, given: str, got: str, amount: int) -> None:
        """The owner trades in the Curve pool, at any price. Nothing but the trade is mined after the first
        time: while a block is mined, anvil answers reads of the one before it by what the new one leaves, and
        a plan that is made of such answers is refused where it is simulated."""
        coins = ("usdx", "redeemable_usd")
        if not self._may_trade_stable:
            self._may_trade_stable = True
            for coin in coins:
                self.send(coin, "approve(address,uint256)", self.book.address(STABLE_POOL), 2**255)
        exchange = "exchange(int128,int128,uint256,uint256)"
        self.send(STABLE_POOL, exchange, coins.index(given), coins.index(got), amount, 0)

    def leave_at_aave(self, token: str, amount: int) -> None:
        """The owner takes out what it lends, but for so much: rates rise."""
        address = self.book.address(token)
        there = self.balance(token, self.book.address(f"a_{token}"))
        self.send("aave_pool", "withdraw(address,uint256,address)", address, there - amount, OWNER)

    # ------------------------------------------------------------------ the play

    @contextlib.contextmanager
    def play(self) -> Iterator[None]:
        """The kernel runs."""
        self.started_at = self.folder.number()
        with self.folder.run() as kernel:
            kernel.wait_ready()
            yield

    def lands(self, plans: int = 1) -> IntentRow:
        """Mine until so many plans have ended, all of them landed; the last one."""
        rows = self.folder.settle(plans)
        told = [(row.strategy, row.state, row.reason) for row in rows]
        assert {row.state for row in rows} == {IntentState.LANDED}, told
        return rows[-1]

    def refusal(self, name: str, *arguments: str) -> str:
        """Why `seawall strategies simulate` admits no plan: the condition, or the guard's words."""
        path = str(self.folder.directory / f"{name}.yaml")
        done = self.folder.seawall("strategies", "simulate", path, "--json", *arguments)
        assert done.stdout, done.stderr
        told: dict[str, object] = json.loads(done.stdout)
        if told["plan"] is None:
            return f"{told['reason']} {told.get('at')}"
        assert told["admitted"] is False
        return str(told["explanation"])

    def edit(self, name: str, old: str, new: str) -> None:
        """In the kernel's copy of an example."""
        path = self.folder.directory / f"{name}.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def seawall(self, verb: str, name: str) -> str:
        """What `seawall strategies VERB` prints of the example."""
        done = self.folder.seawall("strategies", verb, str(self.folder.directory / f"{name}.yaml"))
        assert done.returncode == 0, done.stderr
        return done.stdout

    # ------------------------------------------------------------------ after

    def balance(self, token: str, holder: Address) -> int:
        return self.word(token, "balanceOf(address)", holder)

    def word(self, target: str, signature: str, *values: bytes | int, place: int = 0) -> int:
        raw = self.devnet.rpc.view(self.book.address(target), encode_call(signature, values))
        return int.from_bytes(raw[32 * place : 32 * place + 32])

    def health_wad(self, holder: Address) -> int:
        return self.word("aave_pool", "getUserAccountData(address)", holder, place=5)

    def assert_clean(self, account: Address, *tokens: str) -> None:
        """No allowance of the account is left, and what the ledger booked is what its balances did."""
        folder, rpc = self.folder, self.devnet.rpc
        calls: list[tuple[str, tuple[Json, ...]]] = []
        for token in tokens:
            for spender in self.book:
                data = encode_call("allowance(address,address)", (account, spender.address))
                to = hex_text(self.book.address(token))
                calls.append(("eth_call", ({"to": to, "data": hex_text(data)}, "latest")))
        assert {as_int(answer, "allowance") for answer in rpc.batch(calls)} == {0}
        folder.assert_books_balance()
        last = folder.number()
        hashes = [
            hash_from_text(str(rpc.record("eth_getBlockByNumber", hex(number), False)["hash"]))
            for number in range(self.started_at + 1, last + 1)
        ]
        for token in tokens:
            address = self.book.address(token)
            booked = folder.books.read(partial(_change, account=account, token=address, blocks=hashes))
            moved = folder.balance(address, last, account) - folder.balance(address, self.started_at, account)
            assert booked == moved, token


def _change(tx: Transaction, account: Address, token: Address, blocks: Sequence[Hash]) -> int:
    return sum(tx.postings.balance_change(account, token, block) for block in blocks)
