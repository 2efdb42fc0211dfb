"""Whether something may be signed: guards measure, limits bound, the gate gives the verdict."""

from __future__ import annotations
