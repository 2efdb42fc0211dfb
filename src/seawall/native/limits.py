"""Bare loops in Rust: the limits that the benchmarks compare with. Not for the product's own use."""

from __future__ import annotations

from seawall._native import bench_bare_loop, bench_bare_sign

__all__ = ["bench_bare_loop", "bench_bare_sign"]
