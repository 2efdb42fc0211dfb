"""`python -m seawall.cli`: the same as `seawall`, where the script is not on the path."""

from __future__ import annotations

from seawall.cli.main import run

run()
