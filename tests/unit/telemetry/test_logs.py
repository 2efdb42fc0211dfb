from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from seawall.primitives.errors import ConfigError
from seawall.telemetry.logs import (
    LINE_BYTES_MAX,
    LogSettings,
    configure,
    correlated,
    correlation_id,
    get_logger,
    lines_lost,
)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    configure(LogSettings(level="warning"))


def lines_of(stream: io.BytesIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_is_json_with_event_level_time_and_logger() -> None:
    stream = io.BytesIO()
    configure(LogSettings(), stream=stream)
    get_logger("seawall.room").info("intent_committed", intent=17)
    (line,) = lines_of(stream)
    assert line.pop("at")
    assert line == {"event": "intent_committed", "level": "info", "intent": 17, "logger": "seawall.room"}


def test_level_below_the_configured_one_is_silent() -> None:
    stream = io.BytesIO()
    configure(LogSettings(level="warning"), stream=stream)
    logger = get_logger("seawall.room")
    logger.info("quiet")
    logger.warning("loud")
    assert [line["event"] for line in lines_of(stream)] == ["loud"]


def test_logger_made_before_configuration_follows_it() -> None:
    logger = get_logger("early")
    logger.debug("nowhere")
    stream = io.BytesIO()
    configure(LogSettings(level="debug"), stream=stream)
    logger.debug("here")
    assert [line["event"] for line in lines_of(stream)] == ["here"]


async def test_correlation_id_reaches_tasks_started_inside_and_ends_with_the_block() -> None:
    stream = io.BytesIO()
    configure(LogSettings(), stream=stream)

    async def work(name: str) -> None:
        with correlated(name):
            await asyncio.create_task(inner())

    async def inner() -> None:
        await asyncio.sleep(0)
        get_logger("test").info("inside")

    await asyncio.gather(work("a-1"), work("b-2"))
    assert correlation_id() is None
    assert sorted(str(line["correlation_id"]) for line in lines_of(stream)) == ["a-1", "b-2"]


def test_library_line_takes_the_same_form_and_is_masked() -> None:
    stream = io.BytesIO()
    configure(LogSettings(), stream=stream)
    logging.getLogger("some.library").error("cannot reach %s", "https://u:pa55word@node.example/t0ken")
    (line,) = lines_of(stream)
    assert line["event"] == "cannot reach https://***@node.example/***"
    assert line["logger"] == "some.library"
    assert line["level"] == "error"


def test_traceback_is_logged_without_secrets() -> None:
    stream = io.BytesIO()
    configure(LogSettings(), stream=stream)
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        get_logger("test").exception("broken")
    (line,) = lines_of(stream)
    assert "ValueError" in str(line["exception"])
    assert "hunter2" not in stream.getvalue().decode()


def test_unprintable_value_becomes_a_line_all_the_same() -> None:
    stream = io.BytesIO()
    configure(LogSettings(), stream=stream)
    get_logger("test").info("odd", value="\ud800")
    (line,) = lines_of(stream)
    assert line["event"] == "unprintable_line"


def test_endless_line_is_replaced_by_a_note() -> None:
    stream = io.BytesIO()
    configure(LogSettings(), stream=stream)
    get_logger("test").info("answer", text="x" * LINE_BYTES_MAX)
    (line,) = lines_of(stream)
    assert line["event"] == "line_too_long"


def test_file_rotates_and_keeps_so_many(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "seawall.log"
    configure(LogSettings(file=path, file_bytes_max=4_096, files_kept=2))
    for number in range(200):
        get_logger("test").info("line", number=number, filler="x" * 50)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "seawall.log",
        "seawall.log.1",
        "seawall.log.2",
    ]
    texts = [path.with_name(name).read_bytes() for name in ("seawall.log.2", "seawall.log.1", "seawall.log")]
    assert all(len(text) <= 4_096 for text in texts)
    numbers = [json.loads(line)["number"] for line in b"".join(texts).splitlines()]
    assert numbers == list(range(numbers[0], 200))


def test_restart_appends_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "seawall.log"
    for event in ("first", "second"):
        configure(LogSettings(file=path))
        get_logger("test").info(event)
    assert [json.loads(line)["event"] for line in path.read_bytes().splitlines()] == ["first", "second"]


def test_failing_destination_loses_lines_and_nothing_else() -> None:
    class Broken(io.BytesIO):
        @override
        def write(self, _: object) -> int:
            raise OSError("disk full")

    configure(LogSettings(), stream=Broken())
    get_logger("test").error("lost")
    assert lines_lost() == 1


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"level": "loud"}, "logs.level"),
        ({"file_bytes_max": 1}, "logs.file_bytes_max"),
        ({"files_kept": -1}, "logs.files_kept"),
    ],
)
def test_unusable_setting_names_its_key(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LogSettings(**settings)
    assert caught.value.where == key


def test_file_in_an_impossible_place_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError):
        configure(LogSettings(file=tmp_path / "taken" / "seawall.log"))


def test_import_is_lean() -> None:
    heavy = ("sqlalchemy", "pydantic", "aiohttp", "alembic", "opentelemetry")
    program = f"import sys, seawall.telemetry.logs; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
