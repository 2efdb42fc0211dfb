"""`seawall safe`: transactions that several owners sign, from a proposal to the chain.

    list, show         what the ledger and the chain know; beside a running kernel too
    propose, sign, collect, adopt, execute   cross the kernel's socket: it judges, signs, stores and sends
    verify             a file by itself (`cli.safe_verify`); needs neither kernel nor configuration

A file is what goes between owners: `show NUMBER --out FILE` writes one, `collect` and `adopt` read them.
"""

from __future__ import annotations

import asyncio
import json as json_format
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load, operator
from seawall.cli.output import EXIT_FAILED, Json, JsonOption, print_facts, print_json, print_line, print_table
from seawall.cli.records import ROWS_DEFAULT, LimitOption, read_ledger
from seawall.cli.safe_verify import read_file, verify
from seawall.primitives.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from seawall.chain.addresses import AddressBook
    from seawall.ledger import Transaction
    from seawall.ledger.safes import ProposalRow, SafeSignatureRow, SafeVerdictRow
    from seawall.runtime.commands import Answer
    from seawall.runtime.configuration.settings import Configuration, SafeSettings

__all__ = ["application"]

# Of proposals in one question to the kernel: each is looked at on chain, and the answer must not take long.
PORTION_MAX: Final = 8
PORTION_BYTES_MAX: Final = 512 * 1024

application = typer.Typer(help="Safes: transactions that several owners sign.", rich_markup_mode=None)
application.command("verify")(verify)

NumberArgument = Annotated[int, typer.Argument(help="The proposal's number.", min=1)]
FileArgument = Annotated[str, typer.Argument(metavar="FILE|-", help="A file of proposals.")]
ChainOption = Annotated[int | None, typer.Option("--chain-id", min=1, help="Of a file that names no chain.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="Write the file for the other owners here.")
]


@application.command("list")
def list_proposals(
    path: ConfigOption = DEFAULT_CONFIG, limit: LimitOption = ROWS_DEFAULT, json: JsonOption = False
) -> None:
    """The newest proposals first."""
    from seawall.runtime.safes.views import proposal_view

    def read(tx: Transaction) -> list[tuple[ProposalRow, list[SafeSignatureRow]]]:
        return [(row, tx.safes.signatures(row.number)) for row in tx.safes.listing(limit)]

    rows = [proposal_view(row, signatures) for row, signatures in read_ledger(load(path), read)]
    if json:
        print_json({"proposals": rows})
        return
    print_table(
        ("proposal", "safe", "nonce", "status", "signed", "does", "why"),
        [
            (
                f"#{row['number']}",
                row["safe"],
                row["nonce"],
                row["status"],
                f"{_count(row['signatures'])} of {row['threshold']}",
                "; ".join(_texts(row["calls"])),
                row["reason"] or row["note"],
            )
            for row in rows
        ],
        "Nothing was proposed yet.",
    )


@application.command("show")
def show(
    what: Annotated[
        str, typer.Argument(metavar="NUMBER|SAFE", help="A proposal, or a Safe by name or address.")
    ],
    path: ConfigOption = DEFAULT_CONFIG,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """A proposal with its signatures and verdicts; or how a Safe stands on chain now."""
    if not what.isdecimal():
        _show_safe(load(path), what, as_json=json)
        return
    _show_proposal(load(path), int(what), out, as_json=json)


@application.command("propose")
def propose(
    safe: Annotated[str, typer.Argument(help="The Safe, by name or address.")],
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE|-]", help="A JSON list of calls, made all or none.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="Whom one call goes to: 0x... or @name.")] = None,
    value: Annotated[str, typer.Option("--value", help="Native tokens that it sends, as in 1.5.")] = "0",
    data: Annotated[str | None, typer.Option("--data", help="Its calldata, in hex.")] = None,
    function: Annotated[
        str | None,
        typer.Option("--function", "-f", help="In place of data: as in transfer(address,uint256)."),
    ] = None,
    argument: Annotated[
        list[str] | None, typer.Option("--argument", "-a", help="The function's, one by one, in order.")
    ] = None,
    nonce: Annotated[
        int | None, typer.Option("--nonce", min=0, help="Another than the next one that is free.")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="What for; kept with the proposal.")] = "",
    path: ConfigOption = DEFAULT_CONFIG,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Judge a transaction, and lay it before the owners."""
    from seawall.cli.safe_calls import call_of, calls_in

    configuration = load(path)
    book = _book_of(configuration, _safe_named(configuration, safe))
    if (file is None) == (to is None):
        raise InputError("what the Safe shall do is said once", "propose", "give --to, or a file of calls")
    if file is not None:
        calls = calls_in(read_file(file), file, book)
    else:
        said = {"to": to, "value": value, "data": data, "function": function, "arguments": argument or []}
        calls = [call_of(said, "call", book)]
    body: dict[str, object] = {"safe": safe, "calls": calls}
    body |= {name: given for name, given in (("nonce", nonce), ("note", note)) if given not in (None, "")}
    answer = _ask(configuration, "safe_propose", body)
    _write_out(configuration, answer, out)
    _print_proposal(answer, as_json=json)


@application.command("sign")
def sign(
    number: NumberArgument,
    signer: Annotated[str, typer.Option("--signer", "-s", help="Which of [[signers]]; its key is an owner.")],
    path: ConfigOption = DEFAULT_CONFIG,
    out: OutOption = None,
    json: JsonOption = False,
) -> None:
    """Judge it anew, and have one of our keys sign it."""
    configuration = load(path)
    answer = _ask(configuration, "safe_sign", {"proposal": number, "signer": signer})
    _write_out(configuration, answer, out)
    _print_proposal(answer, as_json=json)


@application.command("collect")
def collect(
    file: FileArgument,
    chain_id: ChainOption = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> int:
    """Take the owners' signatures out of a file; each is taken, or refused with the reason."""
    return _hand_in(load(path), "safe_collect", file, chain_id, as_json=json)


@application.command("adopt")
def adopt(
    file: FileArgument,
    chain_id: ChainOption = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> int:
    """Take over what was queued elsewhere, with its signatures: our files, and those of the Safe transaction
    service.
    """
    return _hand_in(load(path), "safe_adopt", file, chain_id, as_json=json)


@application.command("execute")
def execute(number: NumberArgument, path: ConfigOption = DEFAULT_CONFIG, json: JsonOption = False) -> None:
    """Hand the transaction that carries it to its lane, once enough owners have signed."""
    answer = _ask(load(path), "safe_execute", {"proposal": number})
    if json:
        print_json(
            {
                "proposal": _number(answer["proposal"]),
                "plan": _number(answer["plan"]),
                "key": str(answer["key"]),
            }
        )
        return
    print_line(f"plan #{answer['plan']} carries proposal #{number}: `seawall plans show {answer['plan']}`")


def _show_proposal(configuration: Configuration, number: int, out: Path | None, *, as_json: bool) -> None:
    from seawall.ledger.safes import ProposalNumber
    from seawall.runtime.safes.views import document_view, proposal_view, verdict_view

    def read(tx: Transaction) -> tuple[ProposalRow, list[SafeSignatureRow], list[SafeVerdictRow]]:
        row = tx.safes.get(ProposalNumber(number))
        return row, tx.safes.signatures(row.number), tx.safes.verdicts(row.number)

    row, signatures, verdicts = read_ledger(configuration, read)
    view, document = proposal_view(row, signatures), document_view(row, signatures)
    said = [{"purpose": one.purpose, "at_s": one.at_s, **verdict_view(one.verdict)} for one in verdicts]
    if out is not None:
        _write_file(out, document)
    if as_json:
        print_json({**view, "verdicts": said, "file": document})
        return
    _print_proposal(view, as_json=False)
    for one in said:
        outcome = "admitted" if one["admitted"] else f"refused: {one['explanation']}"
        print_line(f"verdict to {one['purpose']} at block {one['base_number']}: {outcome}")


def _show_safe(configuration: Configuration, what: str, *, as_json: bool) -> None:
    from seawall.cli.safe_verify import state_of
    from seawall.runtime.safes.views import state_view

    settings = _safe_named(configuration, what)
    chain = next(c for c in configuration.chains if c.network.chain_id == settings.policy.chain_id)
    urls = [endpoint.url for endpoint in chain.rpc]
    state = asyncio.run(state_of(urls, chain.network, settings.policy.safe))
    view: dict[str, Json] = {"name": settings.policy.name, "signer": settings.signer, **state_view(state)}
    if as_json:
        print_json(view)
    else:
        print_facts({name: _joined(value) for name, value in view.items()})


def _safe_named(configuration: Configuration, text: str) -> SafeSettings:
    from seawall.primitives.units import address_text

    for one in configuration.safes:
        if text == one.policy.name or text.lower() == address_text(one.policy.safe).lower():
            return one
    known = ", ".join(one.policy.name for one in configuration.safes) or "none"
    raise InputError(f"no Safe is named {text[:64]!r}", "safe", f"add it under [[safes]]; there: {known}")


def _hand_in(
    configuration: Configuration, command: str, file: str, chain_id: int | None, *, as_json: bool
) -> int:
    """Exit code 1 if anything was refused."""
    rows: list[dict[str, Json]] = []
    for portion in _portions(_documents_in(file)):
        body: dict[str, object] = {"proposals": portion}
        if chain_id is not None:
            body["chain_id"] = chain_id
        rows += _records(_ask(configuration, command, body).get("proposals"))
    if as_json:
        print_json({"proposals": rows})
    else:
        _print_handed_in(rows)
    refused = [row for row in rows if row["refused"]]
    refused += [one for row in rows for one in _records(row["signatures"]) if one["refused"]]
    return EXIT_FAILED if refused else 0


def _print_handed_in(rows: Sequence[dict[str, Json]]) -> None:
    for row in rows:
        name = f"#{row['number']}" if row.get("number") else str(row["digest"])
        print_line(f"nonce {row['nonce']}, {name}: {row['refused'] or 'known here'}")
        for one in _records(row["signatures"]):
            print_line(f"  {one['owner']}: {one['refused'] or 'taken'}")


def _print_proposal(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(answer))
        return
    signed = [str(one["owner"]) for one in _records(answer["signatures"])]
    facts: dict[str, object] = {
        "proposal": f"#{answer['number']}: {answer['status']}",
        "safe": f"{answer['safe']} on chain {answer['chain_id']}, nonce {answer['nonce']}",
        "digest": answer["digest"],
        "signed": f"{len(signed)} of {answer['threshold']}: {', '.join(signed) or 'nobody yet'}",
        "missing": ", ".join(_texts(answer["missing"])) or "nobody",
    }
    facts |= {f"call {place}": text for place, text in enumerate(_texts(answer["calls"]), 1)}
    facts |= {name: answer[name] for name in ("note", "reason", "plan") if answer.get(name)}
    effect = answer.get("effect")
    if isinstance(effect, dict):
        facts["effect"] = (
            ", ".join(f"{amount} of {token}" for token, amount in effect["net"].items()) or "none"
        )
    print_facts(facts)


def _write_out(configuration: Configuration, answer: Answer, out: Path | None) -> None:
    """The file of a proposal that the kernel has just stored, from the ledger."""
    if out is None:
        return
    from seawall.ledger.safes import ProposalNumber
    from seawall.runtime.safes.views import document_view

    number = ProposalNumber(_number(answer["number"]))
    row, signatures = read_ledger(
        configuration, lambda tx: (tx.safes.get(number), tx.safes.signatures(number))
    )
    _write_file(out, document_view(row, signatures))


def _write_file(path: Path, document: Json) -> None:
    import orjson

    try:
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror}", str(path), "choose another"
        ) from None


def _documents_in(file: str) -> list[object]:
    try:
        content: object = json_format.loads(read_file(file))
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not JSON: {error}", file, "give a file of proposals") from None
    if isinstance(content, dict) and "results" in content:
        content = content["results"]
    return content if isinstance(content, list) else [content]


def _portions(documents: Sequence[object]) -> Iterator[list[object]]:
    """As much as goes over the socket at once, without what nobody there reads."""
    from seawall.protocols.safe.files import trimmed

    portion: list[object] = []
    room = PORTION_BYTES_MAX
    for document in map(trimmed, documents):
        size = len(json_format.dumps(document))
        if portion and (size > room or len(portion) >= PORTION_MAX):
            yield portion
            portion, room = [], PORTION_BYTES_MAX
        portion.append(document)
        room -= size
    if portion:
        yield portion


def _ask(configuration: Configuration, name: str, body: dict[str, object]) -> Answer:
    from seawall.runtime.commands import Command, ask

    if not configuration.safes:
        raise InputError("no Safe is configured", "safes", "add it under [[safes]]")
    answer = ask(configuration.kernel.socket_file, Command(name, who=operator(), body=body))
    if answer is None:
        raise UnavailableError(
            "no kernel listens here", str(configuration.kernel.socket_file), "start it with `seawall run`"
        )
    return answer


def _book_of(configuration: Configuration, settings: SafeSettings) -> AddressBook:
    chain_id = settings.policy.chain_id
    return next(chain.book for chain in configuration.chains if chain.network.chain_id == chain_id)


def _document(answer: Answer) -> dict[str, Json]:
    """What came over the socket is JSON already."""
    document: dict[str, Json] = json_format.loads(json_format.dumps(answer))
    return document


def _records(value: object) -> list[dict[str, Json]]:
    assert isinstance(value, list), "the kernel answers with a list"
    return [one for one in value if isinstance(one, dict)]


def _texts(value: object) -> list[str]:
    assert isinstance(value, list), "the kernel answers with a list"
    return [str(one) for one in value]


def _count(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _number(value: object) -> int:
    assert isinstance(value, int), "the kernel answers with a number"
    return value


def _joined(value: Json) -> Json:
    return ", ".join(str(one) for one in value) or "none" if isinstance(value, list) else value
