"""The configuration: one TOML file becomes frozen settings, or an error names the key that is wrong."""

from __future__ import annotations
