"""Safes over the kernel's socket: propose, sign, collect, adopt, execute.

    safe_propose   `safe`, `calls`, and if wanted `nonce`, `note`   a verdict, then the proposal
    safe_sign      `proposal`, `signer`                             a verdict, then one of our keys
    safe_collect   `proposals` (documents of a file)                owners' signatures, each taken or refused
    safe_adopt     `proposals`                                      what was queued elsewhere
    safe_execute   `proposal`                                       a verdict, then an ordinary intent

A Safe is named as in the configuration, or by its address. Addresses may be `@name` of the chain's book.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.ledger.safes import ProposalNumber, ProposalRow, SafeSignatureRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import InputError, SeawallError
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import Offload
from seawall.primitives.units import Address, address_text, hash_from_text
from seawall.protocols.safe.files import FileProposal, read_proposals
from seawall.protocols.safe.multisend import CALLS_MAX, InnerCall
from seawall.protocols.safe.transaction import NONCE_MAX
from seawall.runtime.commands import Answer, Command, CommandServer
from seawall.runtime.configuration.names import address_of
from seawall.runtime.configuration.settings import Configuration
from seawall.runtime.plan_form import Form
from seawall.runtime.safes.views import (
    View,
    collected_view,
    document_view,
    effect_view,
    proposal_view,
    verdict_view,
)
from seawall.runtime.wiring import Chain
from seawall.signers.base import Signer
from seawall.transactions.safes.desk import SafeAccount, SafeDesk, Standing
from seawall.transactions.safes.rehearsal import Rehearsal
from seawall.transactions.safes.watch import SafeWatch

__all__ = ["SAFE_COMMANDS", "SafeCommands", "safe_desks"]

SAFE_COMMANDS: Final = ("safe_propose", "safe_sign", "safe_collect", "safe_adopt", "safe_execute")
_NUMBER_MAX: Final = 2**63 - 1


def safe_desks(
    configuration: Configuration,
    chains: Mapping[int, Chain],
    signers: Mapping[str, Signer],
    offload: Offload,
) -> dict[int, SafeDesk]:
    """One for each chain that has a Safe."""
    desks = {}
    for chain_id, chain in chains.items():
        accounts = {
            one.policy.safe: SafeAccount(one.policy, signers[one.signer].address)
            for one in configuration.safes
            if one.policy.chain_id == chain_id
        }
        if accounts:
            parts = chain.desk.parts
            lanes = frozenset(Lane(chain_id, account.sender) for account in accounts.values())
            desks[chain_id] = SafeDesk(
                chain.desk,
                replace(chain.intake, lanes=lanes),
                Rehearsal.on(parts.client, parts.network, offload),
                accounts,
                signers,
                chain.loop.wake_lanes,
            )
    return desks


@dataclass(frozen=True, slots=True)
class SafeCommands:
    """On the live ledger's chains. `books` are the chains' address books."""

    desks: Mapping[int, SafeDesk]
    books: Mapping[int, AddressBook]

    def offer_on(self, server: CommandServer) -> None:
        server.offer("safe_propose", self.propose)
        server.offer("safe_sign", self.sign)
        server.offer("safe_collect", self.collect)
        server.offer("safe_adopt", self.adopt)
        server.offer("safe_execute", self.execute)

    async def watch(self) -> None:
        """For ever: what becomes of proposals."""
        async with asyncio.TaskGroup() as tasks:
            for desk in self.desks.values():
                tasks.create_task(SafeWatch(desk).run())

    async def propose(self, command: Command) -> Answer:
        form = Form(command.body, "", ("safe", "calls", "nonce", "note"))
        desk, safe = self._named(form.text("safe"))
        book = self.books[desk.desk.parts.network.chain_id]
        items = form.forms("calls", ("to", "value_wei", "data"))
        if not 0 < len(items) <= CALLS_MAX:
            raise InputError(f"{len(items)} calls in one proposal", "calls", f"give 1 to {CALLS_MAX}")
        calls = [
            InnerCall(
                address_of(item.text("to"), item.place("to"), book),
                item.number("value_wei", 0, least=0, most=UINT256_MAX),
                item.hex("data") if "data" in item else b"",
            )
            for item in items
        ]
        nonce = form.number("nonce", least=0, most=NONCE_MAX) if "nonce" in form else None
        standing = await desk.propose(safe, calls, nonce, form.text("note", ""), command.who)
        return await self._answer(desk, standing)

    async def sign(self, command: Command) -> Answer:
        form = Form(command.body, "", ("proposal", "signer"))
        number = _proposal_in(form)
        desk = await self._desk_of(number)
        return await self._answer(desk, await desk.sign(number, form.text("signer"), command.who))

    async def collect(self, command: Command) -> Answer:
        """Each document by itself: what is wrong with one keeps nobody else's signature out."""
        return {"proposals": [await self._collect(one, "file", command.who) for one in self._files(command)]}

    async def adopt(self, command: Command) -> Answer:
        return {"proposals": [await self._adopt(one, command.who) for one in self._files(command)]}

    async def execute(self, command: Command) -> Answer:
        number = _proposal_in(Form(command.body, "", ("proposal",)))
        desk = await self._desk_of(number)
        intent = await desk.execute(number, command.who)
        return {"proposal": number, "plan": intent.number, "key": address_text(intent.lane.key)}

    async def take(self, content: bytes) -> tuple[bool, Answer]:
        """Signatures over HTTP: as `safe_collect`, from whoever brings them."""
        found = [
            await self._collect(one, "http", "")
            for one in read_proposals(content, "proposals", self._only_chain())
        ]
        whole = all(not one["refused"] and one["is_whole"] for one in found)
        return whole, {"proposals": found}

    async def file_of(self, digest: str) -> Answer | None:
        """The file of a proposal, to be signed elsewhere."""
        try:
            named = hash_from_text(digest)
        except InputError:
            return None

        def look(tx: Transaction, chain_id: int) -> Answer | None:
            row = tx.safes.find(chain_id, named)
            return None if row is None else document_view(row, tx.safes.signatures(row.number))

        for chain_id, desk in self.desks.items():
            found = await desk.desk.parts.ledger.read(partial(look, chain_id=chain_id))
            if found is not None:
                return found
        return None

    async def _collect(self, proposal: FileProposal, origin: str, who: str) -> dict[str, View]:
        said = _said_of(proposal)
        try:
            desk = self._desk_for(proposal)
            standing, collected = await desk.collect(proposal, origin, who)
        except SeawallError as error:
            return {**said, "refused": str(error), "is_whole": False, "signatures": []}
        return {
            **said,
            "number": standing.row.number,
            "refused": "",
            "is_whole": all(not one.refused for one in collected),
            "signatures": collected_view(collected),
        }

    async def _adopt(self, proposal: FileProposal, who: str) -> dict[str, View]:
        said = _said_of(proposal)
        if proposal.is_executed:
            return {**said, "refused": "the file says that it was executed", "signatures": []}
        try:
            adopted = await self._desk_for(proposal).adopt(proposal, "file", who)
        except SeawallError as error:
            return {**said, "refused": str(error), "signatures": []}
        return {
            **said,
            "number": None if adopted.row is None else adopted.row.number,
            "created": adopted.created,
            "refused": adopted.refused,
            "signatures": collected_view(adopted.collected),
        }

    def _files(self, command: Command) -> Sequence[FileProposal]:
        form = Form(command.body, "", ("proposals", "chain_id"))
        named = (
            form.number("chain_id", least=1, most=_NUMBER_MAX) if "chain_id" in form else self._only_chain()
        )
        content = json.dumps(form.value("proposals")).encode()
        # A file may name its chain itself; the one that is given is that of files that do not.
        return read_proposals(content, "proposals", named)

    def _only_chain(self) -> int | None:
        return next(iter(self.desks)) if len(self.desks) == 1 else None

    def _desk_for(self, proposal: FileProposal) -> SafeDesk:
        chain_id = proposal.transaction.chain_id
        desk = self.desks.get(chain_id)
        if desk is None:
            raise InputError(
                f"no Safe of chain {chain_id} is configured", "proposals", "add it under [[safes]]"
            )
        return desk

    def _named(self, text: str) -> tuple[SafeDesk, Address]:
        """A Safe by its configured name, or by its address."""
        for desk in self.desks.values():
            for safe, account in desk.accounts.items():
                if text == account.policy.name or text.lower() == address_text(safe).lower():
                    return desk, safe
        known = ", ".join(a.policy.name for desk in self.desks.values() for a in desk.accounts.values())
        raise InputError(
            f"no Safe is named {text[:64]!r}", "safe", f"add it under [[safes]]; there: {known or 'none'}"
        )

    async def _desk_of(self, number: ProposalNumber) -> SafeDesk:
        for desk in self.desks.values():
            row = await desk.desk.parts.ledger.read(lambda tx: tx.safes.get(number))
            found = self.desks.get(row.chain_id)
            if found is not None:
                return found
        raise InputError(
            f"the Safe of proposal {number} is not configured", "proposal", "add it under [[safes]]"
        )

    async def _answer(self, desk: SafeDesk, standing: Standing) -> Answer:
        def look(tx: Transaction) -> tuple[ProposalRow, list[SafeSignatureRow]]:
            return tx.safes.get(standing.row.number), tx.safes.signatures(standing.row.number)

        view = proposal_view(*await desk.desk.parts.ledger.read(look))
        if standing.judged is not None:
            view["verdict"] = verdict_view(standing.judged.verdict)
            view["effect"] = effect_view(standing.judged.simulation, standing.row.safe)
        return view


def _proposal_in(form: Form) -> ProposalNumber:
    return ProposalNumber(form.number("proposal", least=1, most=_NUMBER_MAX))


def _said_of(proposal: FileProposal) -> dict[str, View]:
    return {"digest": f"0x{proposal.hash.hex()}", "nonce": proposal.transaction.nonce}
