"""Holds the account of `seawall demo --json` against the chain. Shares no code with Seawall.

    seawall demo --json --keep DIR > account.json
    python tests/check_demo_account.py account.json [RPC_URL]

Nothing but the standard library: a few JSON-RPC calls to the node that still runs, and sums over receipts and
logs. Every mismatch is a line; the exit code is 1 if there is any. What the chain cannot contradict (notes,
durations, predictions of what never landed) is not checked.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

NATIVE = "0x" + "ee" * 20
# keccak256 of Transfer(address,address,uint256), Deposit(address,uint256), Withdrawal(address,uint256)
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
DEPOSIT = "0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c"
WITHDRAWAL = "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65"
BALANCE_OF = "0x70a08231"
SYMBOL = "0x95d89b41"
REORG_DEPTH_MAX = 3
HOLDERS = ("key", "treasury", "executor")
SYMBOLS = ("ETH", "WETH", "USDX")
STATUSES = ("landed", "refused", "expired", "failed", "cancelled")

Document = dict[str, Any]


class Node:
    """JSON-RPC over HTTP; answers are kept, because the chain stands still."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._answers: dict[str, Any] = {}

    def ask(self, method: str, *parameters: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        if body not in self._answers:
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(self.url, body.encode(), headers)
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = json.load(response)
            # A call that the node refuses (say, of an address without code) answers nothing.
            self._answers[body] = answer.get("result")
        return self._answers[body]

    def number(self, method: str, *parameters: object) -> int:
        return int(self.ask(method, *parameters) or "0x0", 16)

    def balance(self, holder: str, token: str, block: int) -> int:
        if token.lower() == NATIVE:
            return self.number("eth_getBalance", holder, hex(block))
        call = {"to": token, "data": BALANCE_OF + holder[2:].lower().rjust(64, "0")}
        answer = self.ask("eth_call", call, hex(block))
        return int(answer, 16) if answer and answer != "0x" else -1

    def symbol(self, token: str) -> str:
        answer = self.ask("eth_call", {"to": token, "data": SYMBOL}, "latest") or "0x"
        raw = bytes.fromhex(answer[2:])
        return raw[64 : 64 + int.from_bytes(raw[32:64])].decode(errors="replace") if len(raw) > 64 else ""


class Sent:
    """A transaction of the key in a canonical block, with its receipt."""

    def __init__(self, node: Node, block: Document, transaction: Document) -> None:
        receipt = node.ask("eth_getTransactionReceipt", transaction["hash"])
        self.hash: str = transaction["hash"]
        self.block_number = int(block["number"], 16)
        self.block_hash: str = block["hash"]
        self.nonce = int(transaction["nonce"], 16)
        self.value_wei = int(transaction["value"], 16)
        self.to: str = (transaction["to"] or "").lower()
        self.data: str = transaction["input"]
        self.succeeded = receipt["status"] == "0x1"
        self.gas_used = int(receipt["gasUsed"], 16)
        self.fee_wei = self.gas_used * int(receipt["effectiveGasPrice"], 16)
        self.logs: list[Document] = receipt["logs"]

    def weth_change(self, weth: str, holders: set[str]) -> int:
        """Of all holders together, by the token's own logs."""
        change = 0
        for topics, amount in self._weth_logs(weth):
            if topics[0] == TRANSFER:
                change += amount * ((_address(topics[2]) in holders) - (_address(topics[1]) in holders))
            elif topics[0] == DEPOSIT and _address(topics[1]) in holders:
                change += amount
            elif topics[0] == WITHDRAWAL and _address(topics[1]) in holders:
                change -= amount
        return change

    def native_change(self, weth: str, holders: set[str]) -> int:
        """Of all holders together, the fee left out: value sent, and WETH turned back."""
        sent_wei = 0 if self.to in holders or not self.succeeded else self.value_wei
        unwrapped = (
            amount
            for topics, amount in self._weth_logs(weth)
            if topics[0] == WITHDRAWAL and _address(topics[1]) in holders
        )
        return sum(unwrapped) - sent_wei

    def _weth_logs(self, weth: str) -> Iterator[tuple[list[str], int]]:
        for log in self.logs:
            if log["address"].lower() == weth:
                yield log["topics"], int(log["data"], 16)


class Check:
    """One account against one node. `problems` is what did not fit."""

    def __init__(self, account: Document, node: Node) -> None:
        self.account, self.node = account, node
        self.problems: list[str] = []
        chain = account["chain"]
        self.first, self.last = chain["first_block"], chain["last_block"]
        self.key, self.treasury, self.weth = (chain[name].lower() for name in ("key", "treasury", "weth"))
        self.executor = next(
            (b["address"].lower() for b in account["balances"] if b["holder"] == "executor"), ""
        )
        self.ours = {self.key, self.treasury, self.executor}
        self.blocks: dict[int, Document] = {}
        self.sent: dict[str, Sent] = {}

    def run(self) -> list[str]:
        head = self.node.number("eth_blockNumber")
        self.expect(self.last == head, f"the last block is {self.last}, the node's head is {head}")
        self.expect(0 <= self.first < self.last, f"the first block is {self.first}, the last {self.last}")
        if not self.problems:
            self._scan()
            for plan in self.account["plans"]:
                self._plan(plan)
            self._plans_together()
            self._reorg(self.account["reorg"])
            self._halt(self.account["halt"])
            self._balances()
            self._explained()
        return self.problems

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)

    def _scan(self) -> None:
        """Every canonical block of the demo, and every transaction of the key in one."""
        before = self.node.number("eth_getTransactionCount", self.key, hex(self.first))
        for number in range(self.first, self.last + 1):
            block = self.node.ask("eth_getBlockByNumber", hex(number), True)
            self.blocks[number] = block
            for transaction in block["transactions"]:
                if transaction["from"].lower() == self.key and number > self.first:
                    found = Sent(self.node, block, transaction)
                    self.expect(found.hash not in self.sent, f"{found.hash} is in two canonical blocks")
                    self.sent[found.hash] = found
        after = self.node.number("eth_getTransactionCount", self.key, hex(self.last))
        nonces = sorted(found.nonce for found in self.sent.values())
        self.expect(nonces == list(range(before, after)), f"nonces {nonces} on chain, {before}..{after} used")

    def _plan(self, plan: Document) -> None:
        what = f"plan {plan['id']} ({plan['status']})"
        self.expect(plan["status"] in STATUSES, f"{what}: no such status")
        transactions: list[Document] = plan["transactions"]
        on_chain = [t for t in transactions if t["hash"] in self.sent]
        if plan["status"] in ("landed", "failed"):
            self.expect(len(on_chain) == 1, f"{what}: {len(on_chain)} of its transactions are on chain")
        elif plan["status"] == "cancelled":
            self.expect(not on_chain, f"{what}: one of its transactions is on chain")
            nonces = {found.nonce for found in self.sent.values()}
            self.expect({t["nonce"] for t in transactions} <= nonces, f"{what}: its nonce was never used")
        else:
            self.expect(not transactions, f"{what}: it has transactions")
        for transaction in transactions:
            self._transaction(what, plan, transaction)
        self._verdict(what, plan)
        if plan["status"] == "landed" and on_chain:
            self._profit(what, plan, self.sent[on_chain[0]["hash"]])
        else:
            self.expect(plan["profit_realised_wei"] is None, f"{what}: a profit of what did not land")

    def _transaction(self, what: str, plan: Document, told: Document) -> None:
        found = self.sent.get(told["hash"])
        if found is None:
            known = self.node.ask("eth_getTransactionByHash", told["hash"])
            self.expect(known is None, f"{what}: the node knows {told['hash']}")
            places = [told[name] for name in ("block_number", "block_hash", "gas_used", "fee_wei")]
            self.expect(places == [None] * 4, f"{what}: {told['hash']} is said to be on chain")
            return
        self.expect(found.succeeded == (plan["status"] == "landed"), f"{what}: its receipt says otherwise")
        self.expect(told["nonce"] == found.nonce, f"{what}: nonce {told['nonce']}, on chain {found.nonce}")
        self._place(what, told, found)

    def _place(self, what: str, told: Document, found: Sent) -> None:
        for name in ("block_number", "block_hash", "gas_used", "fee_wei"):
            on_chain = getattr(found, name)
            self.expect(told[name] == on_chain, f"{what}: {name} {told[name]}, on chain {on_chain}")

    def _verdict(self, what: str, plan: Document) -> None:
        verdict = plan["verdict"]
        self.expect(verdict is not None or plan["status"] == "expired", f"{what}: there is no verdict")
        if verdict is None:
            return
        base = next((n for n, block in self.blocks.items() if block["hash"] == verdict["block_hash"]), None)
        self.expect(base is not None, f"{what}: judged on {verdict['block_hash']}, which is not canonical")
        passed = all(guard["passed"] for guard in verdict["guards"])
        self.expect(verdict["admitted"] == passed, f"{what}: verdict and guards contradict each other")
        if plan["status"] in ("landed", "failed", "refused"):
            admitted = plan["status"] != "refused"
            self.expect(verdict["admitted"] == admitted, f"{what}: the verdict says otherwise")
        for guard in verdict["guards"]:
            if guard["measured"] is None:
                self.expect(not guard["passed"], f"{what}: {guard['guard']} passed without a measurement")
                continue
            apart = abs(guard["limit"] - guard["measured"])
            self.expect(abs(guard["margin"]) == apart, f"{what}: {guard['guard']} has a wrong margin")
            self.expect(
                guard["passed"] == (guard["margin"] >= 0), f"{what}: {guard['guard']} contradicts itself"
            )
        for transaction in plan["transactions"]:
            found = self.sent.get(transaction["hash"])
            if found is not None and base is not None:
                self.expect(base < found.block_number, f"{what}: judged on block {base}, after it landed")

    def _profit(self, what: str, plan: Document, found: Sent) -> None:
        gross_wei = found.weth_change(self.weth, self.ours) + found.native_change(self.weth, self.ours)
        realised = gross_wei - found.fee_wei
        told = plan["profit_realised_wei"]
        self.expect(told == realised, f"{what}: realised {told} wei, by receipt and logs {realised}")
        # Nobody trades between a verdict and its block here, so what was predicted before the fee came in.
        if plan["profit_predicted_wei"] is None or plan["fee_predicted_wei"] is None:
            self.problems.append(f"{what}: landed without a prediction")
            return
        predicted = plan["profit_predicted_wei"] + plan["fee_predicted_wei"]
        self.expect(predicted == gross_wei, f"{what}: predicted {predicted} wei before fees, got {gross_wei}")

    def _plans_together(self) -> None:
        plans = self.account["plans"]
        ids = [plan["id"] for plan in plans]
        self.expect(ids == list(range(1, len(ids) + 1)), f"plans are numbered {ids}")
        told = [t["hash"] for plan in plans for t in plan["transactions"]]
        told.append(self.account["halt"]["filled_by"])
        self.expect(len(told) == len(set(told)), "a transaction is told twice")
        untold = set(self.sent) - set(told)
        self.expect(not untold, f"transactions of the key that nothing accounts for: {sorted(untold)}")
        guards = {
            guard["guard"]
            for plan in plans
            if plan["status"] == "refused" and plan["verdict"] is not None
            for guard in plan["verdict"]["guards"]
            if not guard["passed"]
        }
        self.expect(len(guards) >= 3, f"refused by {len(guards)} kinds of guards only")

    def _reorg(self, told: Document) -> None:
        plan = self._plan_of("reorg", told["plan"])
        found = self.sent.get(told["tx_hash"])
        if plan is None or found is None:
            self.expect(found is not None, f"reorg: {told['tx_hash']} is not canonical")
            return
        hashes = [t["hash"] for t in plan["transactions"]]
        self.expect(told["tx_hash"] in hashes, "reorg: the transaction is not its plan's")
        self.expect(told["landed_again_in_block"] == found.block_hash, "reorg: it is in another block")
        self.expect(told["landed_again_in_number"] == found.block_number, "reorg: its block is another")
        removed, number = told["removed_from_block"], told["removed_from_number"]
        canonical = {block["hash"] for block in self.blocks.values()}
        self.expect(removed not in canonical, f"reorg: block {removed} is canonical")
        there = self.blocks.get(number, {"transactions": []})["transactions"]
        self.expect(all(t["hash"] != found.hash for t in there), f"reorg: it is still in block {number}")
        depth = told["head_number"] - number + 1
        self.expect(told["depth"] == depth, f"reorg: a depth of {told['depth']}, by its blocks {depth}")
        self.expect(1 <= depth <= REORG_DEPTH_MAX, f"reorg: {depth} blocks deep")
        self.expect(self.first < number < found.block_number, "reorg: it did not land later than at first")

    def _halt(self, told: Document) -> None:
        plan = self._plan_of("halt", told["plan"])
        if plan is not None:
            self.expect(plan["status"] == "cancelled", f"halt: its plan is {plan['status']}")
            hashes = [(t["hash"], t["nonce"]) for t in plan["transactions"]]
            expected = [(told["tx_hash"], told["nonce"])]
            self.expect(hashes == expected, "halt: the transaction or nonce is not its plan's")
        self.expect(told["seen_by_node"] is False, "halt: the node is said to have seen it")
        for method in ("eth_getTransactionByHash", "eth_getTransactionReceipt"):
            self.expect(self.node.ask(method, told["tx_hash"]) is None, f"halt: {method} knows the hash")
        pool = told["pool"]
        self.expect(pool == {"pending": 0, "queued": 0}, f"halt: the pool held {pool}")
        nonces = (told["nonce_before"], told["nonce_while_halted"])
        self.expect(nonces == (told["nonce"],) * 2, f"halt: the nonce moved, or was not next: {nonces}")
        filler = self.sent.get(told["filled_by"])
        if filler is None:
            self.problems.append(f"halt: the filler {told['filled_by']} is not canonical")
            return
        self.expect(filler.nonce == told["nonce"], f"halt: the filler has nonce {filler.nonce}")
        shape = (filler.to, filler.value_wei, filler.data, filler.succeeded)
        self.expect(shape == (self.key, 0, "0x", True), "halt: the filler is more than a transfer of nothing")
        self._place("halt: the filler", told["filler"], filler)

    def _plan_of(self, what: str, number: int) -> Document | None:
        found = [plan for plan in self.account["plans"] if plan["id"] == number]
        self.expect(len(found) == 1, f"{what}: there is no plan {number}")
        return found[0] if found else None

    def _balances(self) -> None:
        told = self.account["balances"]
        pairs = sorted((b["holder"], b["symbol"]) for b in told)
        expected = sorted((holder, symbol) for holder in HOLDERS for symbol in SYMBOLS)
        self.expect(pairs == expected, f"balances are of {pairs}")
        addresses = {"key": self.key, "treasury": self.treasury, "executor": self.executor}
        for balance in told:
            what = f"{balance['symbol']} of the {balance['holder']}"
            address, token = balance["address"].lower(), balance["token"].lower()
            self.expect(address == addresses.get(balance["holder"]), f"{what}: the address is another's")
            is_token = (
                token == NATIVE
                if balance["symbol"] == "ETH"
                else self.node.symbol(token) == balance["symbol"]
            )
            self.expect(is_token, f"{what}: {token} is another token")
            self.expect((token == self.weth) == (balance["symbol"] == "WETH"), f"{what}: WETH is elsewhere")
            for name, block in (("before", self.first), ("after", self.last)):
                on_chain = self.node.balance(address, token, block)
                self.expect(balance[name] == on_chain, f"{what}: {name} {balance[name]}, on chain {on_chain}")
            change = balance["after"] - balance["before"]
            self.expect(balance["booked"] == change, f"{what}: booked {balance['booked']}, changed {change}")
        code = self.node.ask("eth_getCode", self.executor, "latest") if self.executor else None
        self.expect(code not in (None, "0x"), "the executor has no code")
        called = {found.to for found in self.sent.values()}
        self.expect(self.executor in called, "the executor was never called")

    def _explained(self) -> None:
        """Receipts, values and logs explain every wei by which the balances changed."""
        fees_wei = sum(found.fee_wei for found in self.sent.values())
        key = {self.key}
        moved_wei = sum(found.native_change(self.weth, key) for found in self.sent.values())
        given_wei = sum(
            int(transaction["value"], 16)
            for number, block in self.blocks.items()
            for transaction in block["transactions"]
            if number > self.first
            and (transaction["to"] or "").lower() == self.key
            and transaction["from"].lower() != self.key
        )
        expected = moved_wei + given_wei - fees_wei
        changed = self._changed(self.key, NATIVE)
        self.expect(changed == expected, f"the key's ETH changed by {changed}, receipts explain {expected}")
        for name, holder in (("key", self.key), ("treasury", self.treasury), ("executor", self.executor)):
            expected = sum(found.weth_change(self.weth, {holder}) for found in self.sent.values())
            changed = self._changed(holder, self.weth)
            self.expect(
                changed == expected, f"WETH of the {name} changed by {changed}, logs explain {expected}"
            )

    def _changed(self, holder: str, token: str) -> int:
        return self.node.balance(holder, token, self.last) - self.node.balance(holder, token, self.first)


def _address(topic: str) -> str:
    return "0x" + topic[-40:].lower()


def check(account: Document, node: Node) -> list[str]:
    """What does not fit; empty if the account is true. An account of another shape is one problem."""
    try:
        return Check(account, node).run()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return [f"the account does not have the promised shape: {type(error).__name__}: {error}"]


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        sys.stderr.write("usage: check_demo_account.py ACCOUNT.json [RPC_URL]\n")
        return 2
    with open(arguments[0]) as file:
        account = json.load(file)
    url = arguments[1] if len(arguments) == 2 else account["chain"]["rpc_url"]
    problems = check(account, Node(url))
    for problem in problems:
        print(f"MISMATCH {problem}")
    if not problems:
        plans, balances = len(account["plans"]), len(account["balances"])
        print(f"the account fits the chain: {plans} plans, {balances} balances, one reorg, one halt")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
