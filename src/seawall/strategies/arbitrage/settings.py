"""Where a two-venue arbitrage trades, with what, and what it takes to act."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.errors import ConfigError
from seawall.primitives.units import BPS, ZERO_ADDRESS, Address
from seawall.protocols import uniswap_v2, uniswap_v3
from seawall.protocols.uniswap_v2 import V2Market
from seawall.protocols.uniswap_v3 import TICK_SPACINGS, V3Market

__all__ = ["TwoVenueSettings"]


@dataclass(frozen=True, slots=True)
class TwoVenueSettings:
    """Two pools of the canonical factories, a Balancer V2 vault that lends, and the executor that acts."""

    chain_id: int
    key: Address
    executor: Address
    beneficiary: Address
    vault: Address
    v2_factory: Address
    v3_factory: Address
    v3_fee_pips: int
    token: Address  # borrowed, repaid, earned: the wrapped native token
    other_token: Address
    min_profit_wei: int  # after gas, to act at all [token]
    amount_in_max_wei: int = 10**24  # the largest loan [token]
    gas_estimate: int = 450_000  # of one execution, to weigh the profit; simulation measures the true one
    priority_fee_per_gas_wei: int = 10**9
    slippage_bps: int = 50  # by which profit may fall short of the prediction
    reserve_min: int = 10**6  # a V2 pair with less of either token is dust [smallest unit]
    profit_max_bps: int = 10_000  # of the loan; more than this is a mistake in what was read
    oracle_feed: Address = ZERO_ADDRESS  # asked of the staleness guard where given
    oracle_age_max_s: int = 3_600
    ttl_s: int = 60
    cooldown_blocks: int = 2  # of silence after a plan that did not land

    def __post_init__(self) -> None:
        positive = {
            "chain_id": self.chain_id,
            "min_profit_wei": self.min_profit_wei,
            "amount_in_max_wei": self.amount_in_max_wei,
            "gas_estimate": self.gas_estimate,
            "profit_max_bps": self.profit_max_bps,
            "oracle_age_max_s": self.oracle_age_max_s,
            "ttl_s": self.ttl_s,
        }
        for name, value in positive.items():
            if value <= 0:
                raise _unusable(f"{name} is {value}", "give a positive number")
        if min(self.priority_fee_per_gas_wei, self.reserve_min, self.cooldown_blocks) < 0:
            raise _unusable("a fee, reserve or number of blocks is negative", "give zero or more")
        if not 0 <= self.slippage_bps < BPS:
            raise _unusable(f"slippage_bps is {self.slippage_bps}", f"give 0 to {BPS - 1}")
        if self.v3_fee_pips not in TICK_SPACINGS:
            known = ", ".join(str(fee) for fee in TICK_SPACINGS)
            raise _unusable(f"there is no V3 fee of {self.v3_fee_pips} pips", f"use one of {known}")
        if self.token == self.other_token:
            raise _unusable("token and other_token are the same", "name two tokens")

    @property
    def v2_market(self) -> V2Market:
        token0, token1 = uniswap_v2.sorted_tokens(self.token, self.other_token)
        return V2Market(uniswap_v2.pair_address(self.v2_factory, token0, token1), token0, token1)

    @property
    def v3_market(self) -> V3Market:
        token0, token1 = uniswap_v2.sorted_tokens(self.token, self.other_token)
        pool = uniswap_v3.pool_address(self.v3_factory, token0, token1, self.v3_fee_pips)
        return V3Market(pool, token0, token1, self.v3_fee_pips, TICK_SPACINGS[self.v3_fee_pips])


def _unusable(what: str, fix: str) -> ConfigError:
    return ConfigError(what, "two-venue arbitrage", fix)
