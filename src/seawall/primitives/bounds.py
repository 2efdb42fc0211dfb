"""Engineering bounds: every queue, retry, cache and frame has a limit with a name and a reason.

Limits of *risk* (what an operator may lose) are configuration and live in `seawall.risk`; what stands here
protects the machine and is the same for every user.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AGEING_S",
    "BATCH_SEGMENTS_MAX",
    "DECISION_FRAME_BYTES_MAX",
    "DISPATCH_BATCH_MAX",
    "EVENT_BATCH_MAX",
    "FRAME_BYTES_MAX",
    "GAS_LIMIT_TRANSACTION_MAX",
    "GAS_USE_BPS_MAX",
    "HEADS_KEPT",
    "INTENT_ID_BLOCK",
    "LANE_UNLANDED_CEILING",
    "LANE_UNLANDED_MAX",
    "LOGS_PENDING_MAX",
    "MISSING_ROUNDS_MAX",
    "NOTE_CHARS_MAX",
    "OBSERVATION_BYTES_MAX",
    "PAYLOAD_BYTES_MAX",
    "PLANS_PER_DECISION_MAX",
    "QUEUED_PER_LANE_MAX",
    "REBUILDS_MAX",
    "REORG_DEPTH_MAX",
    "RETRIES_MAX",
    "STATE_BYTES_MAX",
    "SUBSCRIPTION_READS_MAX",
    "TIMERS_PER_STRATEGY_MAX",
    "TIME_S_MAX",
    "UINT256_MAX",
    "WRITER_GROUP_MAX",
]

UINT256_MAX: Final = 2**256 - 1

# Socket between kernel and host. A frame larger than this is split into parts (observations) or refused
# (decisions).
FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
OBSERVATION_BYTES_MAX: Final = 64 * 1024 * 1024
DECISION_FRAME_BYTES_MAX: Final = 1024 * 1024
PLANS_PER_DECISION_MAX: Final = 64
TIMERS_PER_STRATEGY_MAX: Final = 64
NOTE_CHARS_MAX: Final = 400  # of why a decision brings no plan
# Times in UTC seconds; far beyond any deadline, and within what the executor and the ledger can hold.
TIME_S_MAX: Final = 2**40
STATE_BYTES_MAX: Final = 256 * 1024
SUBSCRIPTION_READS_MAX: Final = 4096
LOGS_PENDING_MAX: Final = 10_000

# What common nodes promise to keep executable for one account.
LANE_UNLANDED_MAX: Final = 16
# What an operator whose node keeps more may set it to.
LANE_UNLANDED_CEILING: Final = 4_096
# Intents that wait in one lane: beyond it intake refuses, so that a strategy feels what it causes.
QUEUED_PER_LANE_MAX: Final = 10_000
# Candidates prepared, judged, signed and committed together.
DISPATCH_BATCH_MAX: Final = 128
# Of several plans in one call of the executor.
BATCH_SEGMENTS_MAX: Final = 64
# An intent that waited this long counts as one class more urgent, so that a stream of urgent work starves
# nobody.
AGEING_S: Final = 30
# A plan that failed on chain may be tried again this often, each time as a new plan that says so.
RETRIES_MAX: Final = 3
# A candidate that became stale or met an unavailable endpoint is rebuilt this often before its intent
# expires.
REBUILDS_MAX: Final = 16
# One word of the executor's bitmap: kernels take intent ids in blocks of this size.
INTENT_ID_BLOCK: Final = 256

# EIP-7825 caps one transaction; use is judged against the lower of this and the block.
GAS_LIMIT_TRANSACTION_MAX: Final = 2**24
GAS_USE_BPS_MAX: Final = 8_000
# Calldata of one transaction: common nodes take 128 KiB with its envelope, Arbitrum's sequencer 95,000 bytes.
PAYLOAD_BYTES_MAX: Final = 90 * 1024

# Rounds of fetching what the local EVM missed before a simulation counts as unavailable.
MISSING_ROUNDS_MAX: Final = 256
# Heads remembered for parent-hash checks; a deeper reorg is an integrity alarm.
HEADS_KEPT: Final = 256
REORG_DEPTH_MAX: Final = 128

WRITER_GROUP_MAX: Final = 256
EVENT_BATCH_MAX: Final = 512
