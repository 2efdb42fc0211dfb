"""`python -m seawall.cli`: the same as `seawall`, for whoever has the interpreter but not the script on the path."""

from __future__ import annotations

from seawall.cli.main import run

run()
