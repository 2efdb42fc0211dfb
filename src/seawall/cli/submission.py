"""`seawall plans submit|cancel`: plans go into the running kernel, and wishes to take them back.

Everything here crosses the kernel's local socket; nothing is written to the ledger from this process. What is
submitted answers after the durable commit. Whoever gets no answer runs the same command again: the
idempotency keys see to it that nothing is done twice.
"""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, DataOption, ReasonOption, location, operator
from seawall.cli.output import Json, JsonOption, print_facts, print_json, print_table
from seawall.primitives.bounds import DECISION_FRAME_BYTES_MAX
from seawall.primitives.errors import InputError, UnavailableError
from seawall.runtime.places import SOCKET_NAME

if TYPE_CHECKING:
    from seawall.runtime.commands import Answer

__all__ = ["register"]

_STANDARD_INPUT: Final = "-"


def register(plans: typer.Typer) -> None:
    plans.command("submit")(submit)
    plans.command("cancel")(cancel)


def submit(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A JSON list of plans, or one plan.")],
    submitter: Annotated[
        str | None,
        typer.Option("--submitter", "-s", help="Which of [[submitters]]; the only one if left out."),
    ] = None,
    path: ConfigOption = DEFAULT_CONFIG,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Hand plans to the running kernel: all of them are accepted, or none.

    The same plan under the same key again is the same plan: repeat whenever no answer came.
    """
    body: dict[str, object] = {"plans": _plans_in(file)}
    if submitter is not None:
        body["submitter"] = submitter
    answer = _ask(location(path, data), "submit", body)
    rows = _objects(answer, "plans")
    if json:
        print_json({"plans": rows})
        return
    print_table(
        ("plan", "key", "is", "status", "digest"),
        [
            (
                f"#{row['id']}",
                row["idempotency_key"],
                "new" if row["created"] else "known",
                row["status"],
                row["plan_digest"],
            )
            for row in rows
        ],
        "No plan was given.",
    )


def cancel(
    reason: ReasonOption,
    number: Annotated[int | None, typer.Argument(help="The plan's number.", min=1)] = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", help="Name under which the plan stands.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", "-k", help="The plan's idempotency key.")] = None,
    path: ConfigOption = DEFAULT_CONFIG,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the running kernel to take a plan back, by its number or by strategy and key.

    One that waits is cancelled at once. One that was committed may be on its way: its nonce is filled by a
    transfer of nothing, and the plan ends cancelled when that is final; it may also land before.
    """
    body = _named(number, strategy, key)
    found = _ask(location(path, data), "cancel", body, reason)["intent"]
    assert isinstance(found, dict), "the kernel answers with the intent"
    if json:
        print_json(found)
    else:
        print_facts(
            {
                "plan": f"#{found['id']} of {found['strategy']}: {found['status']}",
                "key": found["idempotency_key"],
                "why": found["reason"] or found["cancel_reason"],
                "finality": found["finality"] or "none",
                "transactions": " ".join(one["hash"] for one in found["transactions"]) or "none",
            }
        )


def _plans_in(file: str) -> list[object]:
    try:
        if file == _STANDARD_INPUT:
            text = sys.stdin.buffer.read(DECISION_FRAME_BYTES_MAX + 1)
        else:
            with Path(file).open("rb") as stream:
                text = stream.read(DECISION_FRAME_BYTES_MAX + 1)
    except OSError as error:
        raise InputError(
            f"the plans cannot be read: {error.strerror}", file, "name a file, or - for standard input"
        ) from None
    if len(text) >= DECISION_FRAME_BYTES_MAX:
        raise InputError(
            f"more than {DECISION_FRAME_BYTES_MAX} bytes at once", file, "spread the plans over several files"
        )
    try:
        content: object = json_format.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not JSON: {error}", file, "correct the syntax there") from None
    return content if isinstance(content, list) else [content]


def _named(number: int | None, strategy: str | None, key: str | None) -> dict[str, object]:
    if number is not None and strategy is None and key is None:
        return {"id": number}
    if number is None and strategy is not None and key is not None:
        return {"strategy": strategy, "idempotency_key": key}
    raise InputError(
        "a plan is named by its number, or by strategy and key", "", "give NUMBER, or --strategy and --key"
    )


def _ask(folder: Path, name: str, body: dict[str, object], reason: str = "") -> Answer:
    from seawall.runtime.commands import Command, ask

    answer = ask(folder / SOCKET_NAME, Command(name, reason=reason, who=operator(), body=body))
    if answer is None:
        raise UnavailableError(
            "no kernel listens here", str(folder / SOCKET_NAME), "start it with `seawall run`"
        )
    return answer


def _objects(answer: Answer, name: str) -> list[dict[str, Json]]:
    rows = answer.get(name)
    assert isinstance(rows, list), f"the kernel answers with {name}"
    return [row for row in rows if isinstance(row, dict)]
