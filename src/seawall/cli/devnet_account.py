"""`seawall devnet account|give|market`: what a position strategy needs before it can be tried on a devnet.

account FILE...    an account for a key, allowed to do what these files do; prints what seawall.toml lacks
give               tokens for somebody, from the devnet's owner
market             a Uniswap V2 pair of two tokens that nobody trades yet
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.devnet import DEFAULT_DIRECTORY, DirectoryOption
from seawall.cli.output import JsonOption, print_json, print_line
from seawall.primitives.errors import InputError, RolloutError

if TYPE_CHECKING:
    from seawall.rollout.devnet import Devnet

__all__ = ["register"]

AmountArgument = Annotated[str, typer.Argument(help="Of the token before it, as a decimal.")]


def register(devnet: typer.Typer) -> None:
    devnet.command("account")(account)
    devnet.command("give")(give)
    devnet.command("market")(market)


def account(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Strategy files that run in it.")],
    operator: Annotated[str, typer.Option("--operator", help="The key that runs it: 0x...")],
    directory: DirectoryOption = DEFAULT_DIRECTORY,
    json: JsonOption = False,
) -> None:
    """Make an account for a key, `my_account` in the address book; append what is printed to seawall.toml."""
    from seawall.primitives.units import address_from_text, address_text
    from seawall.rollout.devnet.own_account import account_for

    key = address_from_text(operator)
    contents = {str(file): _content(file) for file in files}
    with _running(directory) as running:
        made = account_for(running, key, key, contents)
    if json:
        print_json({"account": address_text(made.address), "settings": made.settings})
    else:
        print_line(f"# my_account is {address_text(made.address)}\n{made.settings}")


def give(
    token: Annotated[str, typer.Argument(help="As the address book names it.")],
    amount: AmountArgument,
    holder: Annotated[str, typer.Argument(help="Who gets it: a name of the address book, or 0x...")],
    directory: DirectoryOption = DEFAULT_DIRECTORY,
) -> None:
    """Give tokens of the devnet's owner to somebody."""
    from seawall.primitives.units import address_from_text
    from seawall.protocols.erc20 import transfer_call
    from seawall.rollout.devnet import OWNER

    with _running(directory) as running:
        book = running.book
        to = address_from_text(holder) if holder.startswith("0x") else book.address(holder)
        call = transfer_call(to, _units(running, token, amount))
        running.rpc.settle([running.rpc.send(OWNER, book.address(token), call)], mine=True)
    print_line(f"{amount} {token} for {holder}")


def market(
    token: Annotated[str, typer.Argument(help="As the address book names it.")],
    amount: AmountArgument,
    against: Annotated[str, typer.Argument(help="The other token of the pair.")],
    against_amount: AmountArgument,
    directory: DirectoryOption = DEFAULT_DIRECTORY,
) -> None:
    """Open a Uniswap V2 pair with tokens of the devnet's owner, and enter it in the address book."""
    from seawall.rollout.devnet.markets import open_market

    with _running(directory) as running:
        amounts = _units(running, token, amount), _units(running, against, against_amount)
        open_market(running, token, amounts[0], against, amounts[1])
    print_line(f"uniswap_v2:{token}-{against}")


@contextlib.contextmanager
def _running(directory: Path) -> Iterator[Devnet]:
    from seawall.rollout import devnet

    found = devnet.status(directory)
    if found is None:
        raise RolloutError("no devnet runs here", str(directory), "start it with `seawall devnet up`")
    running = devnet.Devnet.attach(found.info)
    try:
        yield running
    finally:
        running.close()


def _units(running: Devnet, token: str, amount: str) -> int:
    from seawall.primitives.units import token_amount

    decimals = running.book[token].decimals
    if decimals is None:
        raise InputError(f"{token} has no decimals", "address book", "name a token")
    return token_amount(amount, decimals)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", str(file), "name a strategy file"
        ) from None
