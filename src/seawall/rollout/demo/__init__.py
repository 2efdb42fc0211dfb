"""The demo: the main job on true protocols, in front of your eyes.

`stage` is what it plays on, `acts` what happens, `account` what it came to, `telling` how it is told.
"""

from __future__ import annotations

from seawall.rollout.demo.play import main

__all__ = ["main"]
