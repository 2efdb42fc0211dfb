"""What a replacement of a pending transaction must pay, by the rule of the clients that hold it.

    client                   what the pool asks of (max fee, priority fee)
    geth, op-geth, bor       both strictly higher, and both >= old * 110 / 100 (rounded down)
    reth, op-reth            both >= old + 10 %
    erigon                   both >= old * 110 / 100; older releases strictly higher
    nethermind               both >= old + old / 10; with a tenth of nothing, strictly higher
    anvil                    max fee strictly higher
    besu                     the *effective* price (base fee + priority, at most max fee) >= 110 %, and
                             the effective priority fee not lower
    all, blob transactions   +100 % on every field
    nitro (Arbitrum)         no pool: the sequencer takes or refuses at once, nothing is replaced

Sources: geth and its forks `core/txpool/legacypool/list.go` (`Add`, default `PriceBump` 10) and `blobpool`;
reth `crates/transaction-pool/src/config.rs` (`DEFAULT_PRICE_BUMP` 10, `REPLACE_BLOB_PRICE_BUMP` 100);
nethermind `CompareReplacedTxByFee` and `CompareReplacedBlobTx`; erigon `txpoolcfg` (`PriceBump` 10,
`BlobPriceBump` 100); besu `TransactionReplacementByFeeMarketRule` (`--tx-pool-price-bump` 10,
`--tx-pool-blob-price-bump` 100); Arbitrum's documentation of the sequencer. All are defaults of operators'
options: a node may ask for more, and then refuses.

Rounds up, and always pays at least 1 wei more, which satisfies the strict and the lenient alike. Decides no
ceiling: the verdict's, or housekeeping's own, is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.chain.fees import FeeQuote
from seawall.chain.networks import L2Kind, Network
from seawall.primitives.units import BPS, mul_div_down, mul_div_up

__all__ = ["BLOB_RULE", "RULES", "Client", "Fees", "ReplacementRule", "replacement_fees", "rule_of"]


class Client(StrEnum):
    """Node software, as far as its pool's rule differs."""

    GETH = "geth"  # op-geth and bor too
    RETH = "reth"
    ERIGON = "erigon"
    NETHERMIND = "nethermind"
    BESU = "besu"
    ANVIL = "anvil"
    NITRO = "nitro"


@dataclass(frozen=True, slots=True)
class Fees:
    """What one transaction bids [wei per gas]."""

    max_fee_per_gas_wei: int
    max_priority_fee_per_gas_wei: int


@dataclass(frozen=True, slots=True)
class ReplacementRule:
    """`by_effective_price`: the bump is asked of what would be paid at the base fee, as besu does."""

    bump_bps_max_fee: int = 1_000
    bump_bps_priority: int = 1_000
    by_effective_price: bool = False
    replaceable: bool = True

    def least_after(self, max_fee_per_gas_wei: int) -> int:
        """The least maximum fee that replaces a transaction with this one, as far as that alone decides."""
        return _bumped(max_fee_per_gas_wei, self.bump_bps_max_fee)


_COMMON: Final = ReplacementRule()
BLOB_RULE: Final = ReplacementRule(10_000, 10_000)
RULES: Final[dict[Client, ReplacementRule]] = {
    Client.GETH: _COMMON,
    Client.RETH: _COMMON,
    Client.ERIGON: _COMMON,
    Client.NETHERMIND: _COMMON,
    Client.BESU: ReplacementRule(by_effective_price=True),
    Client.ANVIL: _COMMON,
    Client.NITRO: ReplacementRule(0, 0, replaceable=False),
}
# Chains whose nodes are known to run besu. Elsewhere besu is a minority among clients of the common rule: a
# replacement that it alone refuses is passed on by its neighbours.
_BESU_CHAINS: Final = frozenset({138})


def rule_of(network: Network) -> ReplacementRule:
    """The rule of the clients that a network's transactions pass."""
    if network.l2_kind is L2Kind.ARBITRUM:
        return RULES[Client.NITRO]
    return RULES[Client.BESU if network.chain_id in _BESU_CHAINS else Client.GETH]


def replacement_fees(
    earlier: Sequence[Fees], wanted: FeeQuote, rule: ReplacementRule, ceiling_fee_per_gas_wei: int
) -> Fees | None:
    """The least fees that replace every earlier one and, as far as the ceiling allows, pay what is wanted
    now.

    None if what the rule asks for is above the ceiling: nothing may be signed then. With nothing earlier,
    what is wanted, cut by the ceiling. Rules by effective price hold at `wanted.base_fee_next_wei`."""
    needed = [_needed(fees, rule, wanted.base_fee_next_wei) for fees in earlier]
    least_wei = max((fees.max_fee_per_gas_wei for fees in needed), default=0)
    least_priority_wei = max((fees.max_priority_fee_per_gas_wei for fees in needed), default=0)
    if least_wei > ceiling_fee_per_gas_wei:
        return None
    max_fee_wei = max(least_wei, min(wanted.max_fee_per_gas_wei, ceiling_fee_per_gas_wei))
    priority_wei = max(least_priority_wei, wanted.max_priority_fee_per_gas_wei)
    return Fees(max_fee_wei, min(priority_wei, max_fee_wei))


def _needed(old: Fees, rule: ReplacementRule, base_fee_wei: int) -> Fees:
    max_fee_wei = _bumped(old.max_fee_per_gas_wei, rule.bump_bps_max_fee)
    priority_wei = _bumped(old.max_priority_fee_per_gas_wei, rule.bump_bps_priority)
    if rule.by_effective_price:
        paid_wei = min(old.max_fee_per_gas_wei, base_fee_wei + old.max_priority_fee_per_gas_wei)
        price_wei = mul_div_up(paid_wei, BPS + rule.bump_bps_max_fee, BPS)
        priority_wei = max(priority_wei, price_wei - base_fee_wei)
    return Fees(max(max_fee_wei, priority_wei), priority_wei)


def _bumped(fee_wei: int, bump_bps: int) -> int:
    """More than `fee_wei` with the bump: above its rounded-down threshold, so that no rounding is too low."""
    return mul_div_down(fee_wei, BPS + bump_bps, BPS) + 1
