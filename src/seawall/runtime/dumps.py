"""No core dumps: a process that may hold secrets leaves none of its memory behind (RO-5).

A limit of zero stops the kernel from writing a core file. A program that takes cores over a pipe is not held
by that limit, so the process is also marked as one that is not dumped, which besides keeps other processes of
this user from reading its memory and environment. Both end with the next program that is executed, except the
limit: strategy hosts inherit it and hold no secrets.

Swapped-out pages and hibernation are the machine's affair: encrypt its swap.
"""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

__all__ = ["forbid_core_dumps"]

_PR_SET_DUMPABLE: Final = 4


def forbid_core_dumps() -> None:
    """For this process, until it ends. `OSError` where the system does not take it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
