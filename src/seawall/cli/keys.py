"""`seawall keys`: make them, derive them, try them, see their age, retire them for others, take them over.

`new`, `master` and `derive` write files that only their owner can read and overwrite nothing; they open a
master for as long as the command takes. `rotate`, `keep` and `adopt` write down what the kernel carries out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.cli.key_trial import try_key
from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, ReasonOption, load, operator
from seawall.cli.output import Json, JsonOption, print_facts, print_json, print_line, print_table, progress
from seawall.primitives.errors import InputError, UnavailableError
from seawall.primitives.units import address_text

if TYPE_CHECKING:
    from seawall.ledger.key_changes import KeyChange
    from seawall.ledger.transaction import Transaction
    from seawall.native.wire import LocalKey, Password
    from seawall.primitives.identifiers import Lane
    from seawall.primitives.units import Address
    from seawall.runtime.configuration.settings import ChainSettings, Configuration, SignerSettings
    from seawall.runtime.keys.surveys import KeySurvey
    from seawall.signers.local import ScryptCost

__all__ = ["application"]

_INDEX_MAX: Final = 2**31 - 1
_NONCE_MAX: Final = 2**63 - 1

application = typer.Typer(help="Keys: made, tried, aged, retired, taken over.", rich_markup_mode=None)
application.command("try")(try_key)

NameArgument = Annotated[str, typer.Argument(help="The signer, as the configuration names it.")]
DirectoryOption = Annotated[Path, typer.Option("--directory", help="Where; made if it is not there.")]
FastOption = Annotated[
    bool, typer.Option("--insecure-fast-keystore", help="For throw-away keys of local test chains only.")
]
ChainsOption = Annotated[
    list[int] | None, typer.Option("--chain", help="Only this chain; may be repeated. Left out: all.")
]


@application.command()
def new(
    name: Annotated[str, typer.Argument(help="What the signer will be called.")],
    directory: DirectoryOption = Path("keys"),
    insecure_fast_keystore: FastOption = False,
    json: JsonOption = False,
) -> None:
    """A fresh key in an encrypted keystore, and its password in a file beside it."""
    from seawall.native.wire import LocalKey

    _store(name, directory, LocalKey.generate(), insecure_fast_keystore, as_json=json)


@application.command()
def master(
    directory: DirectoryOption = Path("keys"),
    insecure_fast_keystore: FastOption = False,
    json: JsonOption = False,
) -> None:
    """A master that keys are derived from, one for each deal. Keep it where no kernel runs."""
    from seawall.native.wire import Password
    from seawall.signers.derivation import create_master

    cost = _cost(insecure_fast_keystore)
    made, password_file = _free(directory, "master")
    password = Password.generate()
    password.write_file(password_file)
    with progress("encrypting the master", quiet=json):
        create_master(made, password, cost)
    files: dict[str, Json] = {"master": str(made), "password": str(password_file)}
    if json:
        print_json(files)
        return
    print_facts(files)
    print_line("\nWhoever has both files has every key of it: back them up in two different places, offline.")


@application.command()
def derive(
    name: Annotated[str, typer.Argument(help="What the signer will be called.")],
    deal: Annotated[int, typer.Option("--deal", min=0, max=_INDEX_MAX, help="The deal's number.")],
    master_file: Annotated[Path, typer.Option("--master", help="The master's file.")],
    master_password: Annotated[Path, typer.Option("--master-password", help="The file of its password.")],
    index: Annotated[int, typer.Option("--index", min=0, max=_INDEX_MAX, help="The deal's nth key.")] = 0,
    directory: DirectoryOption = Path("keys"),
    insecure_fast_keystore: FastOption = False,
    json: JsonOption = False,
) -> None:
    """One key of a master, at m/44'/60'/deal'/0'/index', in a keystore of its own. Nothing of it tells of
    another."""
    from seawall.native.wire import Password
    from seawall.signers.derivation import DealPath, derived_key

    _free(directory, name)
    with progress("opening the master", quiet=json):
        key = derived_key(master_file, Password.from_file(master_password), DealPath(deal, index))
    _store(name, directory, key, insecure_fast_keystore, as_json=json)


@application.command("list")
def list_keys(path: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Every signer with its age, when it is to be rotated, and what is being done about it on each chain."""
    from seawall.cli.records import read_ledger

    configuration = load(path)
    changes = read_ledger(configuration, lambda tx: tx.key_changes.all())
    today = datetime.now(UTC).date()
    rows = [_listed(one, today, changes, configuration) for one in configuration.signers]
    if json:
        print_json({"keys": rows})
        return
    columns = ("name", "address", "since", "days", "rotation", "changes")
    print_table(columns, [_row(row) for row in rows], "No signer is configured.")


@application.command()
def rotate(
    name: NameArgument,
    successor: Annotated[str, typer.Argument(help="The signer that takes its place.")],
    reason: ReasonOption,
    chains: ChainsOption = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Retire a key: nothing new is taken in for it, what is under way ends, what it holds goes to its
    successor."""
    from seawall.runtime.keys.commands import begin_retirement

    configuration = load(path)
    heir = _signer(configuration, successor).address()
    lanes = _lanes(configuration, name, chains)
    for lane in lanes:
        if lane.chain_id not in _signer(configuration, successor).policies:
            raise InputError(
                f"{successor} has no policy on chain {lane.chain_id}", "signers", "add one, then start again"
            )
    who, now_s = operator(), _now_s()
    _tell(
        configuration,
        "retire_key",
        [(lane, {"successor": address_text(heir)}) for lane in lanes],
        reason,
        lambda tx, lane, _: begin_retirement(tx, lane, heir, reason, who, now_s),
    )
    _done(lanes, f"{name} takes nothing new; what it holds goes to {successor}", as_json=json)


@application.command()
def keep(
    name: NameArgument,
    reason: ReasonOption,
    chains: ChainsOption = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Take a rotation back: the key takes plans again. What was moved stays where it is."""
    from seawall.runtime.keys.commands import keep_key

    configuration = load(path)
    lanes, who, now_s = _lanes(configuration, name, chains), operator(), _now_s()
    _tell(
        configuration,
        "keep_key",
        [(lane, {}) for lane in lanes],
        reason,
        lambda tx, lane, _: keep_key(tx, lane, reason, who, now_s),
    )
    _done(lanes, f"{name} takes plans again", as_json=json)


@application.command()
def adopt(
    name: NameArgument,
    reason: ReasonOption,
    chains: ChainsOption = None,
    through_nonce: Annotated[
        int | None,
        typer.Option(min=0, max=_NONCE_MAX, help="The last nonce in use elsewhere, if you know it."),
    ] = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Take over a key that sent from elsewhere: its lane waits until all of that is final. Stop what sends
    there first."""
    from seawall.runtime.keys.commands import begin_adoption

    configuration = load(path)
    lanes, who, now_s = _lanes(configuration, name, chains), operator(), _now_s()
    surveys = asyncio.run(_surveys(configuration, lanes))
    waits: list[tuple[Lane, dict[str, Json]]] = []
    rows: list[dict[str, Json]] = []
    for lane, survey in surveys.items():
        last = _last_nonce(lane, survey, through_nonce)
        rows.append(_surveyed(lane, survey, last))
        if last is not None:
            waits.append((lane, {"through_nonce": last}))

    def begin(tx: Transaction, lane: Lane, body: dict[str, Json]) -> None:
        last = body["through_nonce"]
        assert isinstance(last, int)
        begin_adoption(tx, lane, last, reason, who, now_s)

    _tell(configuration, "adopt_key", waits, reason, begin)
    if json:
        print_json({"lanes": rows})
        return
    columns = ("lane", "block", "next nonce", "under way through", "missing", "code")
    print_table(columns, [tuple(row.values()) for row in rows], "")
    for lane, _ in waits:
        print_line(f"{lane} is quarantined until that is final; `seawall keys list` shows it")


def _store(name: str, directory: Path, key: LocalKey, is_fast: bool, *, as_json: bool) -> None:
    from seawall.native.wire import Password
    from seawall.signers.local import write_keystore

    keystore, password_file = _free(directory, name)
    cost = _cost(is_fast)
    password: Password = Password.generate()
    password.write_file(password_file)
    with progress("encrypting the key", quiet=as_json):
        write_keystore(keystore, key.to_keystore(password, n=cost.n, r=cost.r, p=cost.p))
    facts: dict[str, Json] = {
        "name": name,
        "address": address_text(_address(key)),
        "keystore": str(keystore),
        "password": str(password_file),
        "since": datetime.now(UTC).date().isoformat(),
    }
    if as_json:
        print_json(facts)
        return
    print_facts(facts)
    print_line(
        "\nBack both files up in two different places, then add to the configuration:\n\n"
        f'[[signers]]\nname = "{name}"\nkeystore = "{keystore}"\npassword_file = "{password_file}"\n'
        f'since = "{facts["since"]}"\n\nand what it may do: [[signers.policies]].'
    )


def _address(key: LocalKey) -> Address:
    from seawall.primitives.units import Address

    return Address(key.address)


def _free(directory: Path, name: str) -> tuple[Path, Path]:
    """Files for a key and its password, where nothing is yet."""
    from seawall.runtime.configuration.tables import is_name

    if not is_name(name):
        raise InputError(f"{name[:60]!r} is not a name", "name", "use up to 64 of a-z, 0-9, - and _")
    files = directory / f"{name}.json", directory / f"{name}.password"
    for path in files:
        if path.exists() or path.is_symlink():
            raise InputError(
                "there is a file already, and nothing is overwritten", str(path), "choose another name"
            )
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the directory cannot be made: {error.strerror}", str(directory), "choose another"
        ) from None
    return files


def _cost(is_fast: bool) -> ScryptCost:
    from seawall.signers.local import DURABLE_COST, THROWAWAY_COST

    return THROWAWAY_COST if is_fast else DURABLE_COST


def _signer(configuration: Configuration, name: str) -> SignerSettings:
    for one in configuration.signers:
        if one.name == name:
            return one
    known = ", ".join(sorted(one.name for one in configuration.signers)) or "none"
    raise InputError(f"no signer is named {name[:64]!r}", "signers", f"name one of: {known}")


def _lanes(configuration: Configuration, name: str, chains: Sequence[int] | None) -> list[Lane]:
    """The signer's lanes: of the chains that are named, or of all on which it has a policy."""
    from seawall.primitives.identifiers import Lane

    signer = _signer(configuration, name)
    for chain_id in chains or ():
        if chain_id not in signer.policies:
            raise InputError(
                f"{name} has no policy on chain {chain_id}", "--chain", "name a chain that it works on"
            )
    found = [Lane(chain_id, signer.address()) for chain_id in dict.fromkeys(chains or signer.policies)]
    if not found:
        raise InputError(f"{name} works on no chain", "signers", "give it policies first")
    return found


def _tell(
    configuration: Configuration,
    command: str,
    lanes: Sequence[tuple[Lane, dict[str, Json]]],
    reason: str,
    write: Callable[[Transaction, Lane, dict[str, Json]], None],
) -> None:
    """The running kernel, lane by lane; where none runs, the ledger itself, in one transaction."""
    from seawall.cli.authority import running_kernel
    from seawall.ledger import Ledger, LedgerSettings
    from seawall.primitives.ports import SystemClock, SystemEntropy
    from seawall.runtime.commands import Command, ask
    from seawall.runtime.places import SOCKET_NAME

    folder = configuration.kernel.data
    told = 0
    for lane, body in lanes:
        if ask(folder / SOCKET_NAME, Command(command, str(lane), reason, operator(), body)) is None:
            break
        told += 1
    if told == len(lanes):
        return
    if told or running_kernel(folder) is not None:
        raise UnavailableError(
            f"the kernel was told of {told} of {len(lanes)} lanes, and does not answer any more",
            str(folder),
            "see `seawall keys list`, then give the command again for the others with --chain",
        )

    def commit(tx: Transaction) -> None:
        for lane, body in lanes:
            write(tx, lane, body)

    async def written() -> None:
        ledger = Ledger.open(
            LedgerSettings(configuration.kernel.ledger_url), clock=SystemClock(), entropy=SystemEntropy()
        )
        try:
            await ledger.write(commit)
        finally:
            await ledger.close()

    asyncio.run(written())


def _done(lanes: Sequence[Lane], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"lanes": [str(lane) for lane in lanes]})
    else:
        print_line(f"{text} ({', '.join(map(str, lanes))}); `seawall keys list` shows how far it is")


# ---------------------------------------------------------------------- ages


def _listed(
    signer: SignerSettings, today: date, changes: Sequence[KeyChange], configuration: Configuration
) -> dict[str, Json]:
    from seawall.runtime.keys.changes import KeyAge, rotation_of

    address = signer.address()
    names = {one.address(): one.name for one in configuration.signers}
    age_days = None if signer.since is None else (today - signer.since).days
    return {
        "name": signer.name,
        "address": address_text(address),
        "since": None if signer.since is None else signer.since.isoformat(),
        "age_days": age_days,
        "rotation_days": signer.rotation_days,
        "due": rotation_of(KeyAge(signer.name, signer.since, signer.rotation_days), today),
        "changes": [
            {
                "chain_id": change.lane.chain_id,
                "kind": change.kind.value,
                "successor": None
                if change.successor is None
                else names.get(change.successor) or address_text(change.successor),
                "through_nonce": change.through_nonce,
                "done": change.ended_at_s is not None,
                "reason": change.reason,
                "who": change.who,
            }
            for change in changes
            if change.lane.key == address
        ],
    }


def _row(key: dict[str, Json]) -> Sequence[object]:
    changes = key["changes"]
    assert isinstance(changes, list)
    told = []
    for change in changes:
        assert isinstance(change, dict)
        if change["kind"] == "retire":
            verb = "retired" if change["done"] else "retiring"
            told.append(f"chain {change['chain_id']}: {verb} for {change['successor']}")
        elif not change["done"]:
            told.append(f"chain {change['chain_id']}: adopting through nonce {change['through_nonce']}")
    rotation = f"{key['due']} (every {key['rotation_days']} days)" if key["rotation_days"] else "never"
    days = "?" if key["age_days"] is None else key["age_days"]
    return key["name"], key["address"], key["since"] or "?", days, rotation, "\n".join(told)


# ---------------------------------------------------------------------- taking over


async def _surveys(configuration: Configuration, lanes: Sequence[Lane]) -> dict[Lane, KeySurvey]:
    from seawall.primitives.ports import SystemClock
    from seawall.runtime.keys.surveys import survey_key
    from seawall.runtime.overview import CHAIN_WAIT_S, chain_reader

    chains: dict[int, ChainSettings] = {one.network.chain_id: one for one in configuration.chains}

    async def one(lane: Lane) -> KeySurvey:
        async with (
            asyncio.timeout(CHAIN_WAIT_S),
            chain_reader(chains[lane.chain_id], SystemClock()) as client,
        ):
            return await survey_key(client, lane.key)

    try:
        found = await asyncio.gather(*map(one, lanes))
    except TimeoutError:
        raise UnavailableError(
            f"a chain did not answer within {CHAIN_WAIT_S:g} s",
            "keys adopt",
            "check its endpoints; nothing was done",
        ) from None
    return dict(zip(lanes, found, strict=True))


def _last_nonce(lane: Lane, survey: KeySurvey, named: int | None) -> int | None:
    """The last nonce that the lane waits for; None where nothing is under way."""
    if not survey.is_told and named is None:
        raise InputError(
            "the node tells nothing of pending transactions",
            f"lane {lane}",
            "name the last one: --through-nonce",
        )
    if survey.has_other_code:
        raise InputError(
            "this address is a contract", f"lane {lane}", "a key's address has no code of its own"
        )
    known = [one for one in (survey.last_nonce, named) if one is not None and one >= survey.first_open]
    return max(known, default=None)


def _surveyed(lane: Lane, survey: KeySurvey, last: int | None) -> dict[str, Json]:
    missing = survey.missing_nonces
    return {
        "lane": str(lane),
        "block": survey.block.number,
        "next_nonce": survey.next_nonce,
        "through_nonce": last,
        "missing_nonces": ", ".join(map(str, missing)) or None,
        "delegated_to": None
        if survey.delegate is None
        else f"EIP-7702: runs {address_text(survey.delegate)}",
    }


def _now_s() -> int:
    from seawall.primitives.ports import SystemClock

    return SystemClock().now_s()
