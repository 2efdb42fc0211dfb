"""The devnet that the tests of a module share."""

from __future__ import annotations

from tests.fixtures.kernel import manual_devnet

__all__ = ["manual_devnet"]
