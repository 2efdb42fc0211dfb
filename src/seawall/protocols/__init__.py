"""Protocols, one file or folder each: encodings of calls, decoders of answers, and nothing that touches a
network."""

from __future__ import annotations
