"""Words of the house: units, identifiers, messages, the error tree, engineering bounds.

Messages are frozen and flow one way: `Observation` -> `Decision` of `Plan` -> `Candidate` -> `Verdict`; what
happens afterwards are rows and events of the ledger. Import from the module that owns the word."""

from __future__ import annotations
