"""The command line: the outermost skin. It parses, calls one function of a room below, and prints."""

from __future__ import annotations
