"""`seawall limits show|compare`: which limits are in force for whom, which layer binds each, and what another
configuration would loosen. Reads configurations only; no kernel is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seawall.cli.options import DEFAULT_CONFIG, ConfigOption, load
from seawall.cli.output import Json, JsonOption, print_json, print_line, print_table
from seawall.primitives.errors import AuthorityError, InputError

if TYPE_CHECKING:
    from seawall.primitives.units import Address
    from seawall.risk.layers import Effective, Limited, Scalar
    from seawall.runtime.configuration.settings import Configuration

__all__ = ["application"]

application = typer.Typer(help="Limits: what is allowed, and which layer says so.", rich_markup_mode=None)
ChainOption = Annotated[int | None, typer.Option("--chain", help="Only this chain.")]


@application.command("show")
def show(
    strategy: Annotated[str | None, typer.Option(help="With the layer of this strategy.")] = None,
    signer: Annotated[str | None, typer.Option(help="With the layer of this signer.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="With the layer of this protocol.")] = None,
    deal: Annotated[str | None, typer.Option(help="With the layer of this deal.")] = None,
    chain: ChainOption = None,
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """Every limit in force and the layer that binds it; `default` where the configuration says nothing."""
    from seawall.risk.layers import LayerKind, effective

    configuration = load(path)
    names = {LayerKind.STRATEGY: [strategy], LayerKind.SIGNER: [signer], LayerKind.DEAL: [deal]}
    wanted = {(kind, name) for kind, given in names.items() for name in given if name is not None}
    wanted |= {(LayerKind.PROTOCOL, name) for name in protocol or ()}
    _require_known(configuration, {(kind.value, name) for kind, name in wanted})
    documents: list[Json] = []
    for chain_id, limited in _limited(configuration, chain).items():
        holding = [
            one for one in limited.layers if one.kind is LayerKind.CHAIN or (one.kind, one.name) in wanted
        ]
        found = effective(limited.base, holding)
        rows = _rows(found)
        documents.append(
            {
                "chain_id": chain_id,
                "layers": [layer.label for layer in holding],
                "limits": [{"limit": name, "value": value, "bound_by": who} for name, value, who in rows],
            }
        )
        if not json:
            print_line(f"chain {chain_id}: {', '.join(layer.label for layer in holding) or 'no layers'}")
            print_table(("limit", "value", "bound by"), rows, "Nothing is limited.")
    if json:
        print_json({"chains": documents})


@application.command("compare")
def compare(
    other: Annotated[Path, typer.Argument(help="The configuration that is to come into force.")],
    path: ConfigOption = DEFAULT_CONFIG,
    json: JsonOption = False,
) -> None:
    """What another configuration would loosen. Fails where it would loosen anything: that takes authority."""
    from seawall.risk.layers import loosenings

    old, new = _limited(load(path), None), _limited(load(other), None)
    found: list[str] = []
    for chain_id, limited in new.items():
        before = old.get(chain_id)
        told = ("it is new",) if before is None else loosenings(before, limited)
        found += [f"chain {chain_id}: {one}" for one in told]
    if json:
        print_json({"loosened": list(found)})
    for one in found:
        if not json:
            print_line(one)
    if found:
        raise AuthorityError(
            f"{len(found)} limits would be looser than they are",
            str(other),
            "tighten them, or have whoever may loosen limits restart the kernel with this file",
        )
    if not json:
        print_line("Nothing would be looser.")


def _limited(configuration: Configuration, chain: int | None) -> dict[int, Limited]:
    from seawall.runtime.limiting import limited_by

    keys: dict[str, Address] = {}  # layers of signers are chosen by name here
    found = {
        settings.network.chain_id: limited_by(configuration, settings, keys)
        for settings in configuration.chains
        if chain is None or settings.network.chain_id == chain
    }
    if not found:
        raise InputError(f"chain {chain} is not configured", "--chain", "see [[chains]]")
    return found


def _require_known(configuration: Configuration, wanted: set[tuple[str, str]]) -> None:
    """A layer that is asked for and does not exist would silently be left out."""
    there: set[tuple[str, str]] = {
        (layer.kind.value, layer.name) for layers in configuration.layers.values() for layer in layers
    }
    there |= {("strategy", one.name) for one in configuration.strategies}
    there |= {("strategy", one.name) for one in configuration.submitters}
    there |= {("strategy", one.policy.name) for one in configuration.safes}
    there |= {("signer", one.name) for one in configuration.signers}
    for kind, name in sorted(wanted - there):
        known = ", ".join(sorted(other for of, other in there if of == kind)) or "none"
        raise InputError(f"no {kind} is named {name!r}", f"--{kind}", f"there: {known}")


def _rows(found: Effective) -> list[tuple[str, str, str]]:
    """(limit, value as the configuration writes it, layer)."""
    from seawall.primitives.units import NATIVE, address_text
    from seawall.risk.layers import scalars_of

    limits = found.limits
    rows = [
        (name.value, _text(name, value), found.binding.get(name.value, "default"))
        for name, value in scalars_of(limits).items()
    ]
    for token, cap in sorted(limits.position_caps.items()):
        key = f"position {'native' if token == NATIVE else address_text(token)}"
        rows.append((key, f"{cap} units", found.binding[key]))
    for group in limits.exposures:
        key = f"exposure {group.name}"
        rows.append((key, f"{group.share_bps_max} bps", found.binding[key]))
    if limits.tokens_allowed is not None:
        listed = ", ".join(address_text(token) for token in sorted(limits.tokens_allowed)) or "none"
        rows.append(("tokens_allowed", listed, found.binding["tokens_allowed"]))
    if limits.tokens_denied:
        listed = ", ".join(address_text(token) for token in sorted(limits.tokens_denied))
        rows.append(("tokens_denied", listed, "all layers"))
    if limits.volatility is not None:
        rows.append(("volatility", f"calm up to {limits.volatility.calm_bps} bps", "global"))
    return rows


def _text(name: Scalar, value: int | None) -> str:
    """As the configuration writes it."""
    if value is None:
        return "refused" if name.is_closed else "not judged"
    whole, rest = divmod(value, 10**name.decimals)
    fraction = f"{rest:0{name.decimals}d}".rstrip("0") if name.decimals else ""
    return f"{whole}.{fraction}" if fraction else str(whole)
