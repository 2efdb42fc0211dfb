"""Logs: one JSON object a line, each carrying the correlation id of the observation that it belongs to.

Flow: `get_logger(__name__).info("intent_committed", intent=17)` -> correlation and context -> masking (last,
so that nothing added before escapes it) -> one line to standard error or a rotating file. Lines of libraries
that use the standard library's logging take the same way.

A log line can neither raise nor stop anything: a line that cannot be written is dropped and counted. The time
of a line is the machine's, not the kernel's clock. Does not ship lines anywhere; collectors read the file.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import sys
import threading
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

import orjson
import structlog
from structlog.contextvars import bound_contextvars, get_contextvars, merge_contextvars
from structlog.typing import FilteringBoundLogger
from typing_extensions import override

from seawall.primitives.errors import ConfigError
from seawall.telemetry.masking import mask_text, mask_value

__all__ = ["LEVELS", "LogSettings", "configure", "correlated", "correlation_id", "get_logger", "lines_lost"]

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
FILE_BYTES_MIN: Final = 4_096
FILES_KEPT_MAX: Final = 100
# A line longer than this (a hostile endpoint's answer inside an error) is replaced by a note of it.
LINE_BYTES_MAX: Final = 256 * 1024

_CORRELATION: Final = "correlation_id"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`file` of None writes to standard error, which is never rotated here."""

    level: str = "info"
    file: Path | None = None
    file_bytes_max: int = 64 * 1024 * 1024
    files_kept: int = 5  # beside the one being written

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ConfigError(
                f"{self.level[:40]!r} is not a log level", "logs.level", f"use one of {', '.join(LEVELS)}"
            )
        if self.file_bytes_max < FILE_BYTES_MIN:
            raise ConfigError(
                f"a log file of {self.file_bytes_max} bytes",
                "logs.file_bytes_max",
                f"give at least {FILE_BYTES_MIN}",
            )
        if not 0 <= self.files_kept <= FILES_KEPT_MAX:
            raise ConfigError(
                f"{self.files_kept} log files", "logs.files_kept", f"give 0 to {FILES_KEPT_MAX}"
            )


class _Sink:
    """Where lines go. Whoever writes holds the lock for one buffered write and, rarely, a rotation."""

    def __init__(self, settings: LogSettings, stream: BinaryIO | None) -> None:
        self._settings = settings
        self._stream = stream
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._size = 0
        self.lost = 0
        if settings.file is not None:
            try:
                self._open(settings.file)
            except OSError as error:
                raise ConfigError(
                    f"the log file cannot be written: {error.strerror}",
                    "logs.file",
                    "give a file in a writable directory",
                ) from None

    def write(self, line: bytes) -> None:
        if len(line) > LINE_BYTES_MAX:
            line = orjson.dumps({"level": "error", "event": "line_too_long", "bytes": len(line)})
        try:
            with self._lock:
                if self._settings.file is None:
                    self._write_stream(line)
                else:
                    self._write_file(self._settings.file, line)
        except (OSError, ValueError):
            self.lost += 1

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write_stream(self, line: bytes) -> None:
        stream = self._stream
        if stream is not None:
            stream.write(line + b"\n")
            stream.flush()
        else:
            sys.stderr.write(line.decode() + "\n")

    def _write_file(self, path: Path, line: bytes) -> None:
        if self._file is None or (
            self._size > 0 and self._size + len(line) + 1 > self._settings.file_bytes_max
        ):
            self._rotate(path)
        assert self._file is not None
        self._file.write(line + b"\n")
        self._size += len(line) + 1

    def _rotate(self, path: Path) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        kept = self._settings.files_kept
        names = [path, *(path.with_name(f"{path.name}.{place}") for place in range(1, kept + 1))]
        for newer, older in reversed(list(itertools.pairwise(names))):
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        if kept == 0:
            path.unlink(missing_ok=True)
        self._open(path)

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.seek(0, io.SEEK_END)


class _LineLogger:
    """Takes finished lines. It looks the sink up, so that loggers made at import follow `configure`."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, line: bytes) -> None:
        _sink.write(line)

    debug = info = warning = warn = error = critical = fatal = exception = log = msg


class _Bridge(logging.Handler):
    """Lines of libraries, in our form."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno // 10, 1), 5) - 1
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001  (a library's broken format string is its own matter)
            text = str(record.msg)
        get_logger(record.name).log((level + 1) * 10, text, exc_info=record.exc_info)


def configure(settings: LogSettings, *, stream: BinaryIO | None = None) -> None:
    """Apply settings to the whole process. `stream` replaces standard error."""
    global _sink
    replaced, _sink = _sink, _Sink(settings, stream)
    replaced.close()
    level = (LEVELS.index(settings.level) + 1) * 10
    structlog.configure(
        processors=[
            merge_contextvars,
            _add_name,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_LineLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(max(level, logging.WARNING))


def get_logger(name: str) -> FilteringBoundLogger:
    """The logger of one module. Event names are `snake_case`; what varies are keyword arguments."""
    return cast(FilteringBoundLogger, structlog.get_logger(name))


def correlated(identifier: str) -> AbstractContextManager[None]:
    """Inside, every line carries this correlation id, in tasks started here too."""
    return cast("AbstractContextManager[None]", bound_contextvars(**{_CORRELATION: identifier}))


def correlation_id() -> str | None:
    """The id in force, to be stored with an intent."""
    identifier: object = get_contextvars().get(_CORRELATION)
    return identifier if isinstance(identifier, str) else None


def lines_lost() -> int:
    """Lines dropped since `configure`, because their destination failed."""
    return _sink.lost


def _add_name(logger: _LineLogger, _: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    event["logger"] = logger.name
    return event


def _render(_: object, __: str, event: MutableMapping[str, object]) -> bytes:
    masked = {key: mask_value(key, value) for key, value in event.items()}
    try:
        return orjson.dumps(masked)
    except (TypeError, ValueError):  # unpaired surrogates and the like
        return orjson.dumps({"event": "unprintable_line", "line": mask_text(ascii(masked))})


_sink = _Sink(LogSettings(), None)
# Until the program says otherwise: warnings, as JSON, on standard error.
configure(LogSettings(level="warning"))
