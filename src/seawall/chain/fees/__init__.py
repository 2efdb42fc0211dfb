"""What gas costs on a chain: its market's rule, a forecast of the base fee, and the fees that we bid.

    markets     a table per network: how the base fee moves, and the defaults of bidding
    history     what one request a head reads from the node
    forecasting where the base fee will be in the next blocks, as an interval
    estimator   fee quotes by priority, under the operator's ceilings

Replacing (`chain.replacement`) and a roll-up's data fee (`chain.data_fees`) stand beside it.
"""

from __future__ import annotations

from seawall.chain.fees.estimator import FeeEstimator, FeeQuote
from seawall.chain.fees.forecasting import Forecast, forecast
from seawall.chain.fees.markets import (
    FeeMarket,
    FeeSettings,
    fee_settings_of,
    highest_base_fee_after,
    market_of,
    next_base_fee,
)

__all__ = [
    "FeeEstimator",
    "FeeMarket",
    "FeeQuote",
    "FeeSettings",
    "Forecast",
    "fee_settings_of",
    "forecast",
    "highest_base_fee_after",
    "market_of",
    "next_base_fee",
]
