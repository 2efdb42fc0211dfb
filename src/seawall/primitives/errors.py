"""The error tree. Every error that a person or an operation can cause says what was wrong, where, and what
to do.

    SeawallError (what, where, fix)
    ├── NativeError                  leaves of the native core: keystore, encoding, signature, EVM input
    ├── InputError                   a value given by a person or a file is unusable
    │   └── ConfigError              ... in the configuration, with its key
    ├── MarketError                  a quote or pool state cannot be had exactly; never guessed
    ├── ProtocolError                an answer or call of a protocol does not have the promised shape
    │   └── UnavailableActionError   a protocol would refuse it now, or it cannot be quoted exactly
    ├── PlanError                    a plan is malformed or contradicts itself
    │   ├── IdempotencyConflictError same key, another digest
    │   └── BackPressureError        more is waiting than the lane takes
    ├── WireError                    a frame between kernel and host breaks its bounds or format
    ├── StrategyError                a strategy raised, hung or answered nonsense
    ├── ChainError
    │   ├── EndpointError            an endpoint did not answer usefully (retryable elsewhere)
    │   │   ├── ConnectionLostError  refused, reset, or ended within an answer
    │   │   ├── TimedOutError        no whole answer in time
    │   │   ├── RateLimitedError     asked too often; it says, or we guess, when it may be asked again
    │   │   ├── MalformedAnswerError not JSON-RPC, of another id, too large, or of another shape than asked
    │   │   └── DisprovedError       ... showed what contradicts its own hash or root: it lies, or is broken
    │   ├── ChainIdMismatchError     an endpoint serves another chain
    │   ├── UnavailableError         no endpoint could serve; *unavailable* in the sense of TX-2
    │   ├── ReadRevertedError        a pinned read reverted
    │   └── UnknownBlockError        the pinned block is gone (reorg or pruned)
    ├── StaleError                   head, overlay, lease or verdict moved; rebuild the candidate
    ├── LedgerError
    │   ├── LedgerLockedError        another kernel owns the database, or it is locked
    │   ├── LedgerUnavailableError   the database is away, busy or full: nothing was stored; try later
    │   │   └── LedgerDoubtError     ... but the commit may have taken place: look before repeating
    │   ├── LedgerSchemaError        schema older or newer than this program
    │   ├── FenceLostError           the lane's lease moved to another kernel
    │   ├── AuthorityChangedError    the halt epoch moved between verdict and commit
    │   ├── NonceTakenError          the slot exists already
    │   ├── IntentMovedError         an intent is not in the state that the work stands on
    │   └── StateVersionError        compare-and-set on strategy state failed
    ├── SignerError                  a key cannot be opened or does not sign
    │   ├── SignerUnavailableError   what holds the key does not answer, or is sealed: later it may
    │   │   └── SignerBusyError      ... asked too often: it says to wait
    │   ├── SignerRefusedError       it answers no: wrong PIN, no permission, a rule, a disabled key
    │   └── SignerAnswerError        its answer is wrong: other key, other content, not a signature
    ├── AuthorityError               RUN, REDUCE_ONLY or HALT does not admit this
    ├── RefusedError                 the gate refused what a person asked to have signed; nothing was
    ├── RolloutError                 devnet, deployment
    └── IntegrityAlarm               ledger, signed bytes and chain contradict each other: halts
"""

from __future__ import annotations

from seawall.native.errors import (
    AddressError,
    EncodingError,
    EvmInputError,
    KeystoreError,
    NativeError,
    SeawallError,
    SignatureError,
)

__all__ = [
    "AddressError",
    "AuthorityChangedError",
    "AuthorityError",
    "BackPressureError",
    "ChainError",
    "ChainIdMismatchError",
    "ConfigError",
    "ConnectionLostError",
    "DisagreementError",
    "DisprovedError",
    "EncodingError",
    "EndpointError",
    "EvmInputError",
    "FenceLostError",
    "IdempotencyConflictError",
    "InputError",
    "IntegrityAlarm",
    "IntentMovedError",
    "KeystoreError",
    "LedgerDoubtError",
    "LedgerError",
    "LedgerLockedError",
    "LedgerSchemaError",
    "LedgerUnavailableError",
    "MalformedAnswerError",
    "MarketError",
    "NativeError",
    "NonceTakenError",
    "PlanError",
    "ProtocolError",
    "RateLimitedError",
    "ReadRevertedError",
    "RefusedError",
    "RolloutError",
    "SeawallError",
    "SignatureError",
    "SignerAnswerError",
    "SignerBusyError",
    "SignerError",
    "SignerRefusedError",
    "SignerUnavailableError",
    "StaleError",
    "StateVersionError",
    "StrategyError",
    "TimedOutError",
    "UnavailableActionError",
    "UnavailableError",
    "UnknownBlockError",
    "WireError",
    "nothing_was_stored",
]


class InputError(SeawallError):
    """A value given by a person or a file is unusable."""


class ConfigError(InputError):
    """The configuration is unusable; `where` names the key."""


class MarketError(SeawallError):
    """A quote or a pool state cannot be had exactly."""


class ProtocolError(SeawallError):
    """An answer or a call of a protocol does not have the promised shape."""


class UnavailableActionError(ProtocolError):
    """What is wanted of a protocol is paused, capped, short of liquidity, or not to be quoted exactly."""


class PlanError(SeawallError):
    """A plan is malformed or contradicts itself."""


class IdempotencyConflictError(PlanError):
    """An idempotency key was used before for another plan."""


class BackPressureError(PlanError):
    """More is waiting than the lane takes; nothing of the decision was stored."""


class WireError(SeawallError):
    """A frame between kernel and host breaks its bounds or its format."""


class StrategyError(SeawallError):
    """A strategy raised, hung or answered nonsense."""


class ChainError(SeawallError):
    """Something about a chain or its endpoints."""


class EndpointError(ChainError):
    """One endpoint did not answer usefully."""


class ConnectionLostError(EndpointError):
    """The connection was refused, reset, or ended within an answer."""


class TimedOutError(EndpointError):
    """No whole answer came in time."""


class RateLimitedError(EndpointError):
    """The endpoint was asked too often. `retry_after_s` is when it may be asked again, if it said so."""

    retry_after_s: float | None

    def __init__(
        self, what: str, where: str = "", fix: str = "", *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(what, where, fix)
        self.retry_after_s = retry_after_s


class MalformedAnswerError(EndpointError):
    """An answer is not what was asked: not JSON-RPC, of another id, too large, or of another shape."""


class DisprovedError(EndpointError):
    """An endpoint showed what contradicts a hash or root that commits to it."""


class ChainIdMismatchError(ChainError):
    """An endpoint serves another chain than the configuration says."""


class UnavailableError(ChainError):
    """Nothing could serve the request now; trying later may help."""


class DisagreementError(UnavailableError):
    """Endpoints that must agree gave different answers; nothing is decided on any of them."""


class ReadRevertedError(ChainError):
    """A read pinned to a block reverted."""


class UnknownBlockError(ChainError):
    """The pinned block is not known to the endpoint any more."""


class StaleError(SeawallError):
    """Head, overlay, lease or verdict moved: the candidate must be built again."""


class LedgerError(SeawallError):
    """The ledger refused or failed."""


class LedgerLockedError(LedgerError):
    """Another process owns the ledger."""


class LedgerUnavailableError(LedgerError):
    """The database is away, busy or full. Nothing was stored; trying later may help."""


class LedgerDoubtError(LedgerUnavailableError):
    """The database went away in a commit that may or may not have taken place: look before repeating."""


class LedgerSchemaError(LedgerError):
    """The ledger's schema is not the one this program knows."""


class FenceLostError(LedgerError):
    """The lane's lease is held by somebody else."""


class AuthorityChangedError(LedgerError):
    """Authority moved between verdict and commit."""


class NonceTakenError(LedgerError):
    """The slot already exists."""


class IntentMovedError(LedgerError):
    """An intent is not in the state that the work stands on; nothing of the work was stored."""


class StateVersionError(LedgerError):
    """The strategy's state is not at the version the decision stands on."""


class SignerError(SeawallError):
    """A key cannot be opened or does not sign."""


class SignerUnavailableError(SignerError):
    """What holds the key does not answer, or cannot sign now; trying later may help."""


class SignerBusyError(SignerUnavailableError):
    """What holds the key was asked too often."""


class SignerRefusedError(SignerError):
    """What holds the key says no, and will again until somebody changes something."""


class SignerAnswerError(SignerError):
    """What holds the key answered with something else than this key's signature over what was asked."""


class AuthorityError(SeawallError):
    """The authority in force does not admit this."""


class RefusedError(SeawallError):
    """The gate refused what was to be signed; nothing was signed."""


class RolloutError(SeawallError):
    """Devnet or deployment failed."""


class IntegrityAlarm(SeawallError):  # noqa: N818  (the specification's word)
    """Our ledger, our signed bytes and the chain contradict each other."""


def nothing_was_stored(error: LedgerError) -> bool:
    """Whether a write that ended so surely left nothing behind, for a reason that passes: it may be made
    again as it is."""
    passes = isinstance(error, LedgerLockedError | LedgerUnavailableError)
    return passes and not isinstance(error, LedgerDoubtError)
