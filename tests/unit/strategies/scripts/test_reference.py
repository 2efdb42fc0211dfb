"""The reference in docs/ is what the loader says."""

from __future__ import annotations

from pathlib import Path

from seawall.strategies.scripts.reference import render

PAGE = Path(__file__).resolve().parents[4] / "docs" / "strategy-files.md"


def test_reference_is_made_from_the_loader() -> None:
    assert PAGE.read_text() == render(), (
        "python -m seawall.strategies.scripts.reference > docs/strategy-files.md"
    )
