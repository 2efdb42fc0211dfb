"""The stored text of an event is what the standard library writes, whatever stands in it."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from seawall.ledger.events import text_of
from seawall.ledger.rows import EventData

integers = st.integers(-(2**70), 2**70) | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63)])
values = st.none() | st.booleans() | integers | st.text(max_size=20)


@given(st.dictionaries(st.text(max_size=8), values, max_size=6))
@example({"\ud800": 1, "a": "\ud800"})
@example(
    {"\uffff": 1, "\U00010000": 2, '\x7f\x00\x1f\b\f\n\r\t"\\/\u2028': '\x7f\x00\x1f\b\f\n\r\t"\\/\u2028'}
)
@settings(max_examples=300, deadline=None)
def test_event_text_is_that_of_the_standard_library(data: EventData) -> None:
    wanted = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    assert text_of(data) == wanted
