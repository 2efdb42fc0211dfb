"""What the policy registry must list for a strategy file: no more than its steps use.

    steps -> protocols, lenders -> each adapter's own part -> one `Policy`

In an account the capital stays: every token that is no debt is kept. The executor pays out what is left, as
the adapters' parts say. How much may be moved or lost is the risk book's, and for a person to say: not done
here.
"""

from __future__ import annotations

from dataclasses import replace

from seawall.primitives.errors import InputError
from seawall.primitives.units import address_text
from seawall.protocols.adapters.base import PolicyPart
from seawall.protocols.executor.policy import LenderPolicy, Policy, TokenClass, TokenPolicy
from seawall.protocols.executor.policy_parts import policy_of
from seawall.strategies.scripts.script import AccountForm, Script

__all__ = ["policy_of_scripts"]


def policy_of_scripts(*scripts: Script) -> Policy:
    """Of files that run in the same place; `InputError` where a policy cannot say what they do."""
    account = scripts[0].account
    for script in scripts:
        _require_listable(script)
        if script.account.address != account.address:
            raise InputError(
                "it runs elsewhere than the first of these files",
                script.file,
                "one policy is for one account",
            )
    parts = [part for script in scripts for part in _parts(script)]
    kept = {
        token.token: TokenClass.KEPT
        for part in parts
        for token in part.tokens
        if account.form is AccountForm.ACCOUNT and token.token_class is not TokenClass.DEBT
    }
    # A borrowed token that no part names is listed as the others are.
    found = policy_of(parts, account.address, kept)
    borrowed = {token for script in scripts for token in script.scope.needs.borrowed}
    missing = borrowed.difference(token.token for token in found.tokens)
    form = TokenClass.KEPT if account.form is AccountForm.ACCOUNT else TokenClass.PAID_OUT
    return replace(found, tokens=(*found.tokens, *(TokenPolicy(token, form) for token in sorted(missing))))


def _parts(script: Script) -> list[PolicyPart]:
    needs = script.scope.needs
    lenders = tuple(LenderPolicy(lender, kind) for lender, kind in sorted(needs.lenders.items()))
    ours = script.account.address
    return [
        *(needs.acts_on[name].policy(ours) for name in sorted(needs.acts_on)),
        PolicyPart(lenders=lenders),
    ]


def _require_listable(script: Script) -> None:
    if script.account.form is AccountForm.KEY:
        raise InputError("a key's plans are under no policy of a registry", script.file, "it needs none")
    for target, signature in sorted(script.scope.needs.raw_calls):
        raise InputError(
            f"what {signature} of {address_text(target)} may be given is known to nobody but you",
            script.file,
            "write its listing by hand, or an adapter for the protocol",
        )
