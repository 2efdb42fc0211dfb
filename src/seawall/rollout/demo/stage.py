"""The demo's stage: a devnet, a key, a configuration, and the kernel as a process of its own.

The demo looks at all of it from outside, as an operator would: through the command line, the health
endpoint, the ledger opened read-only, and the chain."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from seawall.ledger.migrate import create
from seawall.native import LocalKey, encode_call
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address, address_text, hex_text
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.steering import authorise, fund, mine

__all__ = [
    "HOLD_POINT",
    "KEY_START_WEI",
    "LOG_FIX",
    "LOG_NAME",
    "KernelProcess",
    "Stage",
    "health_port",
    "seawall",
    "wait_until",
]

KEY_START_WEI: Final = 20 * 10**18
LOG_NAME: Final = "kernel.log"
LOG_FIX: Final = f"read {LOG_NAME} in the demo's folder"
HOLD_POINT: Final = "transactions.before_first_write"
READY_WAIT_S: Final = 20.0
STOP_WAIT_S: Final = 10.0
COMMAND_WAIT_S: Final = 60.0
_ERROR_SHOWN: Final = 400
_ERROR: Final = "error: "
_POLL_S: Final = 0.02
_FOREVER_S: Final = 2**40
_TEMPLATE: Final = """\
[kernel]
listen = "127.0.0.1:0"

[[chains]]
chain_id = 31337
rpc = ["{rpc}"]
websocket = "{ws}"
poll_interval_s = 0.2
address_book = "{book}"
executor = "@atomic_executor"

[[chains.prices]]
token = "native"
feed = "@feed_eth_usd"

[[chains.prices]]
token = "@weth"
feed = "@feed_eth_usd"

[[signers]]
name = "main"
keystore = "keys/main.json"
password_file = "keys/main.password"
[[signers.policies]]
chain_id = 31337
fee_max = "0.1"
value_max = "9"
balance_min = "0.5"
any_target = true
[[signers.policies.spend]]
token = "native"
per_hour = "50"
per_day = "200"
[[signers.policies.spend]]
token = "@weth"
per_hour = "1000"
per_day = "5000"
[[signers.policies.spend]]
token = "@usdx"
per_hour = "5000000"
per_day = "20000000"

[limits]
slippage_bps = 50
validity_blocks = 3
key_balance_min = "0.5"

[[limits.positions]]
chain_id = 31337
token = "native"
cap = "8.5"

[[limits.positions]]
chain_id = 31337
token = "@weth"
cap = "1000"

[[limits.positions]]
chain_id = 31337
token = "@usdx"
cap = "5000000"

[[strategies]]
name = "arbitrage"
class = "seawall.strategies.arbitrage.two_venue:TwoVenueArbitrage"
chain_id = 31337
signer = "main"
mode = "live"
[strategies.settings]
executor = "@atomic_executor"
beneficiary = "{treasury}"
vault = "@balancer_vault"
v2_factory = "@uniswap_v2_factory"
v3_factory = "@uniswap_v3_factory"
v3_fee_pips = 3000
token = "@weth"
other_token = "@usdx"
min_profit_wei = "1000000000000000"
ttl_s = 900

[[strategies]]
name = "keeper"
class = "seawall.strategies.native_range:NativeRange"
chain_id = 31337
signer = "main"
mode = "live"
[strategies.settings]
wrapped_native = "@weth"
multicall = "@multicall3"
low_wei = "2000000000000000000"
target_wei = "12000000000000000000"
high_wei = "15000000000000000000"

[[strategies]]
name = "hopeful"
class = "seawall.strategies.scripted:Scripted"
chain_id = 31337
signer = "main"
mode = "live"
[strategies.settings]
accounting_token = "@weth"

{scripted}"""


@dataclass(slots=True)
class Stage:
    """Everything on disk and on the chain that the demo plays on."""

    directory: Path
    devnet: Devnet
    treasury: Address = field(init=False)
    key: Address = field(init=False)
    start_number: int = field(init=False)
    failure: Callable[[], str | None] = lambda: None
    """Why waiting for the kernel is in vain, if it is."""

    @property
    def configuration(self) -> Path:
        return self.directory / "seawall.toml"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.data / 'ledger.db'}"

    def prepare(self) -> None:
        """A throw-away key (scrypt at n = 4096, so that it opens at once), an executor that knows it, a
        configuration."""
        seawall("init", str(self.directory), "--insecure-fast-keystore")
        keystore = json.loads((self.directory / "keys" / "main.json").read_text())
        self.key = Address(bytes.fromhex(str(keystore["address"]).removeprefix("0x")))
        stranger = LocalKey.generate()
        self.treasury = Address(stranger.address)
        stranger.wipe()
        self.configuration.write_text(self._configuration())
        self.data.mkdir(exist_ok=True)
        if not (self.data / "ledger.db").exists():
            create(self.ledger_url)
        fund(self.devnet, self.key, KEY_START_WEI)
        authorise(self.devnet, self.key, self.treasury)
        # The oldest round of this feed is what one of the plans will be refused for.
        mine(self.devnet, 2)
        self.start_number = self.devnet.rpc.integer("eth_blockNumber")

    def _configuration(self) -> str:
        book = self.devnet.book
        weth, usdx = book.address("weth"), book.address("usdx")
        return _TEMPLATE.format(
            rpc=self.devnet.info.rpc_url,
            ws=self.devnet.info.ws_url,
            book=self.devnet.info.addresses,
            treasury=address_text(self.treasury),
            scripted=_scripted(self.key, weth, usdx),
        )


@dataclass(slots=True)
class KernelProcess:
    """`seawall run` as a process."""

    stage: Stage
    hold: bool = False
    started_in_s: float = 0.0
    _process: subprocess.Popen[bytes] | None = None
    _log_from: int = 0  # what earlier kernels said is before this place

    @property
    def reached(self) -> Path:
        return self.stage.directory / "held"

    @property
    def release(self) -> Path:
        return self.stage.directory / "release"

    def __enter__(self) -> KernelProcess:
        environment = dict(os.environ)
        if self.hold:
            environment |= {
                "SEAWALL_FAILPOINT": f"{HOLD_POINT}:hold",
                "SEAWALL_FAILPOINT_REACHED": str(self.reached),
                "SEAWALL_FAILPOINT_RELEASE": str(self.release),
            }
        begun_s = time.monotonic()
        with (self.stage.directory / LOG_NAME).open("ab") as log:
            self._log_from = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  (this interpreter and this package)
                [sys.executable, "-m", "seawall.cli", "run", "--config", str(self.stage.configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        self.stage.failure = self._died
        try:
            wait_until(self._is_ready, READY_WAIT_S, "the kernel to be ready", self._died)
        except BaseException:
            self._stop()
            raise
        self.started_in_s = time.monotonic() - begun_s
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        process = self._process
        assert process is not None
        if process.poll() is None:
            if self.hold:
                # While it stands still at the failpoint it does not end.
                self.release.touch()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            except BaseException:
                process.kill()
                raise

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _is_ready(self) -> bool:
        port = health_port((self.stage.directory / LOG_NAME).read_bytes()[self._log_from :])
        if port is None:
            return False
        url = f"http://127.0.0.1:{port}/ready"
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _died(self) -> str | None:
        assert self._process is not None
        if self._process.poll() is None:
            return None
        log = (self.stage.directory / LOG_NAME).read_text(errors="replace")
        said = [line.removeprefix(_ERROR) for line in log.splitlines() if line.startswith(_ERROR)]
        why = said[-1] if said else "no reason in its log"
        return f"the kernel ended with {self._process.returncode}: {why}"


def seawall(*arguments: str) -> None:
    """Run one command of the program and insist that it succeeds."""
    command = [sys.executable, "-m", "seawall.cli", *arguments]
    try:
        done = subprocess.run(  # noqa: S603  (this interpreter and this package)
            command, capture_output=True, check=False, timeout=COMMAND_WAIT_S, text=True, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise RolloutError(
            f"`seawall {arguments[0]}` took over {COMMAND_WAIT_S:.0f} s", "demo", LOG_FIX
        ) from None
    if done.returncode != 0:
        what = f"`seawall {arguments[0]}` ended with {done.returncode}: {done.stderr[-_ERROR_SHOWN:]}"
        raise RolloutError(what, "demo", "do what the message says")


def wait_until(
    holds: Callable[[], bool], wait_s: float, what: str, failed: Callable[[], str | None] = lambda: None
) -> None:
    """Look again and again, for at most `wait_s`."""
    until_s = time.monotonic() + wait_s
    while not holds():
        failure = failed()
        if failure is not None:
            raise RolloutError(failure, "demo", LOG_FIX)
        if time.monotonic() > until_s:
            raise RolloutError(f"waited {wait_s:.0f} s for {what}", "demo", LOG_FIX)
        time.sleep(_POLL_S)


def health_port(log: bytes) -> int | None:
    """Where the kernel of this log listens, once it does. A port that was chosen for it beforehand could be
    somebody else's by then."""
    for line in log.splitlines():
        with contextlib.suppress(ValueError):  # a line that is not whole yet, or none of ours
            said = json.loads(line)
            if isinstance(said, dict) and said.get("event") == "started" and "health_port" in said:
                return int(said["health_port"])
    return None


def _scripted(key: Address, weth: Address, usdx: Address) -> str:
    """Calls that must be refused, each by another guard."""
    one_eth = 10**18
    deposit = hex_text(encode_call("deposit()", ()))
    swap = encode_call(
        "swapExactETHForTokens(uint256,address[],address,uint256)", (0, [weth, usdx], key, _FOREVER_S)
    )
    steps: list[Mapping[str, object]] = [
        {
            "note": "wrap 9 ETH, more than one plan may pay out",
            "target": "@weth", "calldata": deposit, "value_wei": str(9 * one_eth),
        },
        {
            "note": "buy USDX at a price that the pool does not give, with no minimum",
            "target": "@uniswap_v2_router",
            "calldata": hex_text(swap),
            "value_wei": str(one_eth),
            "expected": [{"holder": "@key", "token": "@usdx", "change": str(3_000 * 10**6)}],
        },
        {
            "note": "wrap 0.1 ETH, but only if the ETH price is younger than a second",
            "target": "@weth", "calldata": deposit, "value_wei": str(one_eth // 10),
            "oracle_feed": "@feed_eth_usd", "oracle_age_max_s": 1,
        },
        {
            "note": "wrap 0.1 ETH, but only for a profit",
            "target": "@weth", "calldata": deposit, "value_wei": str(one_eth // 10), "min_profit_wei": "1",
        },
        {
            "note": "unwrap 100 WETH that the key does not have",
            "target": "@weth",
            "calldata": hex_text(encode_call("withdraw(uint256)", (100 * one_eth,))),
        },
    ]  # fmt: skip
    return "".join(_toml_step(step) for step in steps)


def _toml_step(step: Mapping[str, object]) -> str:
    lines = ["[[strategies.settings.steps]]"]
    for name, value in step.items():
        if isinstance(value, list):
            tables = (", ".join(f"{k} = {json.dumps(v)}" for k, v in table.items()) for table in value)
            lines.append(f"{name} = [{', '.join(f'{{ {table} }}' for table in tables)}]")
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n\n"
