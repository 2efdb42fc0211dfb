"""Safes of the kernel: what a person says about them, and how it is shown and checked."""

from __future__ import annotations
