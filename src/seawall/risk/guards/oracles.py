"""Whether prices that a plan stands on may be believed, read on the state after."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.native import abi_decode, encode_call
from seawall.primitives.errors import EncodingError, ProtocolError
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Address, address_text
from seawall.primitives.verdicts import Measurement
from seawall.protocols import chainlink, sequencer
from seawall.risk.evidence import Evidence, above, below, cannot_measure
from seawall.risk.guards.base import measured, probes_of
from seawall.risk.guards.pools import Pool, average_reads
from seawall.risk.prices import Ratio, age_s_of, apart_bps_up

__all__ = ["OracleDeviation", "OracleStaleness", "OracleTerms", "SequencerUp"]


@dataclass(frozen=True, slots=True)
class OracleStaleness:
    """Age of a Chainlink-style feed's answer, read on the state after."""

    feed: Address
    max_age_s: int
    name: str = "oracle_staleness"

    @property
    def _label(self) -> str:
        return f"{self.name}:{self.feed.hex()}"

    def probes(self) -> tuple[Probe, ...]:
        return (Probe(self._label, self.feed, encode_call("latestRoundData()", ())),)

    def measure(self, evidence: Evidence) -> Measurement:
        raw = evidence.simulation.probes.get(self._label)
        limit = min(self.max_age_s, evidence.limits.oracle_age_s_max)
        feed = address_text(self.feed)
        if raw is None:
            return cannot_measure(self.name, evidence, limit, "s", f"feed {feed} did not answer")
        try:
            round_id, answer, _, updated_at, answered_in = abi_decode(
                ("uint80", "int256", "uint256", "uint256", "uint80"), raw
            )
        except EncodingError:
            return cannot_measure(
                self.name, evidence, limit, "s", f"feed {feed} answered {len(raw)} malformed bytes"
            )
        assert isinstance(answer, int)
        assert isinstance(updated_at, int)
        if answer <= 0 or updated_at == 0 or round_id != answered_in:
            return cannot_measure(
                self.name, evidence, limit, "s", f"feed {feed} holds no complete positive answer"
            )
        age_s = age_s_of(evidence, updated_at)
        if age_s is None:
            return cannot_measure(
                self.name, evidence, limit, "s", f"the answer of feed {feed} is of the future"
            )
        return below(self.name, evidence, age_s, limit, "s", f"age of feed {feed}")


@dataclass(frozen=True, slots=True)
class OracleTerms:
    """A feed, and the market that it is held against."""

    feed: Address  # of the base token
    pool: Pool
    base_decimals: int
    quote_decimals: int
    is_inverse: bool = False  # the base token is the pool's token1
    quote_feed: Address | None = None  # None: the pool's quote token is what the feed counts in
    window_s: int = 0  # over which a V3 pool's price is averaged; 0: the price now


@dataclass(frozen=True, slots=True)
class OracleDeviation:
    """How far a feed's price is from a market's, of the lower one."""

    terms: OracleTerms
    limit_bps: int
    name: str = "oracle_deviation"

    @property
    def _feeds(self) -> tuple[Address, ...]:
        quote = self.terms.quote_feed
        return (self.terms.feed,) if quote is None else (self.terms.feed, quote)

    def probes(self) -> tuple[Probe, ...]:
        terms = self.terms
        reads = [
            read
            for feed in self._feeds
            for read in (chainlink.latest_round_read(feed), chainlink.decimals_read(feed))
        ]
        reads += average_reads(terms.pool.address, terms.window_s) if terms.window_s else terms.pool.reads()
        return probes_of(reads)

    def measure(self, evidence: Evidence) -> Measurement:
        def judge() -> Measurement:
            apart_bps = apart_bps_up(self._oracle(evidence), self._market(evidence))
            what = f"feed {address_text(self.terms.feed)} is off {self.terms.pool.label} by"
            return below(self.name, evidence, apart_bps, self.limit_bps, "bps", what)

        return measured(self.name, evidence, self.limit_bps, "bps", judge)

    def _oracle(self, evidence: Evidence) -> Ratio:
        """Whole quote tokens for a whole base token."""
        over, under = _fresh_price(evidence, self.terms.feed)
        if self.terms.quote_feed is not None:
            quote_over, quote_under = _fresh_price(evidence, self.terms.quote_feed)
            over, under = over * quote_under, under * quote_over
        return over, under

    def _market(self, evidence: Evidence) -> Ratio:
        terms, answers = self.terms, evidence.simulation.probes
        over, under = (
            terms.pool.average(answers, terms.window_s) if terms.window_s else terms.pool.price(answers)
        )
        if terms.is_inverse:
            over, under = under, over
        return over * 10**terms.base_decimals, under * 10**terms.quote_decimals


@dataclass(frozen=True, slots=True)
class SequencerUp:
    """For how long the sequencer has been up, against the grace that prices need to be fresh again."""

    terms: sequencer.UptimeTerms
    name: str = "sequencer_up"

    def probes(self) -> tuple[Probe, ...]:
        return probes_of(sequencer.reads(self.terms))

    def measure(self, evidence: Evidence) -> Measurement:
        grace_s = self.terms.grace_s

        def judge() -> Measurement:
            seen = sequencer.observe(self.terms, evidence.simulation.probes, evidence.candidate.base)
            if seen.state is sequencer.Sequencer.UNKNOWN:
                why = f"{seen.source} does not say since when"
                return cannot_measure(self.name, evidence, grace_s, "s", why)
            if seen.state is sequencer.Sequencer.DOWN:
                base_hash, why = evidence.simulation.base_hash, f"down for {seen.age_s} s, says {seen.source}"
                return Measurement(self.name, -1, grace_s, -1 - grace_s, "s", False, base_hash, why)
            return above(self.name, evidence, seen.age_s, grace_s, "s", f"{seen.source} says up, for")

        return measured(self.name, evidence, grace_s, "s", judge)


def _fresh_price(evidence: Evidence, feed: Address) -> Ratio:
    """Of a whole token. `ProtocolError` where it is not positive, not complete, or too old."""
    answers, source = evidence.simulation.probes, f"feed {address_text(feed)}"
    found, decimals = chainlink.latest_round(feed, answers), chainlink.decimals(feed, answers)
    age_s = age_s_of(evidence, found.updated_at_s)
    if age_s is None:
        raise ProtocolError("its answer is of the future", source, "use another feed: its clock is wrong")
    if not found.is_complete or age_s > evidence.limits.oracle_age_s_max:
        raise ProtocolError(
            f"its answer is {age_s} s old" if found.is_complete else "its answer is of an earlier round",
            source,
            "wait for its next answer",
        )
    return found.answer, int(10**decimals)
