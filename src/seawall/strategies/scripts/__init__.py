"""Strategies written as files: YAML with an expression language of its own, compiled into a `Strategy`.

Flow: `documents` (bytes to nodes with places) -> `loading` (nodes to a checked `Script`, all problems at
once) -> `strategy` (a `Strategy` like any other, in a host like any other). Expressions go through `lexer`,
`syntax` and `compiling`; what a step does is written once in `strategies.composing`, for files and Python.

Nothing here evaluates text as Python, reads a chain, or knows a key.
"""

from __future__ import annotations
