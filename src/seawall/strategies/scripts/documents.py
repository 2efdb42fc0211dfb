"""Bytes of a strategy file to a tree of texts, lists and tables with their places.

YAML is read by PyYAML's event parser and nothing of it beyond structure is used: every scalar is a text,
whatever it looks like, so that `no` is no boolean and `1e3` no float; what a text means is said by the key
that it stands under. Refused: anchors, aliases and tags (a small file may not grow, nor name a type),
duplicate keys, several documents, and whatever is larger than the bounds below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml

from seawall.strategies.scripts.problems import Place, Problem, ScriptError, shown
from seawall.strategies.scripts.settings import SCRIPT_BYTES_MAX

__all__ = ["Entry", "Listed", "Scalar", "Table", "Tree", "read_document"]

DEPTH_MAX: Final = 16
NODES_MAX: Final = 5_000
_KEY_CHARS_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Scalar:
    text: str
    place: Place
    style: str = ""  # of its quotes: "", "'", '"', "|" or ">"
    lines: int = 1  # that it stands on

    def place_at(self, offset: int) -> Place:
        """Of a character of the text; as near as quotes and folding allow."""
        place = self.place
        if self.lines == 1 and self.style in ("", "'", '"'):
            shift = offset + len(self.style)
            return Place(place.file, place.line, place.column + shift, place.key)
        if self.style == "|":
            before = self.text[:offset]
            line = place.line + 1 + before.count("\n")
            return Place(place.file, line, offset - (before.rfind("\n") + 1) + 1, place.key)
        return place


@dataclass(frozen=True, slots=True)
class Listed:
    items: tuple[Tree, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    place: Place  # of the key
    value: Tree


@dataclass(frozen=True, slots=True)
class Table:
    entries: dict[str, Entry] = field(hash=False)
    place: Place


Tree = Scalar | Listed | Table


def read_document(content: bytes, file: str) -> Table:
    """The file's table; `ScriptError` says where it is not one."""
    start = Place(file, 1, 1)
    if len(content) > SCRIPT_BYTES_MAX:
        raise _refused(f"the file is larger than {SCRIPT_BYTES_MAX} bytes", start, "split the strategy")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _refused("the file is not UTF-8 text", Place(file, line, 1), "save it as UTF-8") from None
    try:
        tree = _Builder(file).document(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise _refused(_told(error), _marked(error, file), "correct the YAML there") from None
    except yaml.YAMLError as error:
        what = f"this is not YAML: {' '.join(str(error).split())[:120]}"
        raise _refused(what, start, "remove what is no text") from None
    if not isinstance(tree, Table):
        raise _refused(
            "the file is not a table of keys and values", tree.place, "begin with `strategy: name`"
        )
    return tree


class _Builder:
    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0

    def document(self, events: Iterator[yaml.Event]) -> Tree:
        for event in events:
            if isinstance(event, yaml.StreamStartEvent):
                continue
            if isinstance(event, yaml.DocumentStartEvent):
                if event.tags or event.version:
                    raise _refused("a YAML directive", self._place(event, ""), "leave it out")
                tree = self._tree(next(events), events, "", 0)
                next(events)  # the document's end
                self._require_end(next(events))
                return tree
            break
        raise _refused("the file is empty", Place(self._file, 1, 1), "begin with `strategy: name`")

    def _require_end(self, event: yaml.Event) -> None:
        if not isinstance(event, yaml.StreamEndEvent):
            raise _refused("a second document", self._place(event, ""), "write one strategy a file")

    def _tree(self, event: yaml.Event, events: Iterator[yaml.Event], key: str, depth: int) -> Tree:
        place = self._place(event, key)
        self._nodes += 1
        if self._nodes > NODES_MAX or depth > DEPTH_MAX:
            raise _refused(
                f"more than {NODES_MAX} values, or deeper than {DEPTH_MAX}", place, "write it shorter"
            )
        if isinstance(event, yaml.AliasEvent):
            raise _refused("an alias", place, "write the value out")
        if isinstance(event, yaml.NodeEvent):
            self._require_plain(event, place)
        if isinstance(event, yaml.ScalarEvent):
            lines = place.line if event.end_mark is None else event.end_mark.line + 1
            return Scalar(str(event.value), place, event.style or "", lines - place.line + 1)
        if isinstance(event, yaml.SequenceStartEvent):
            return Listed(tuple(self._items(events, key, depth)), place)
        assert isinstance(event, yaml.MappingStartEvent), "nothing else begins a value"
        return Table(self._entries(events, key, depth), place)

    def _items(self, events: Iterator[yaml.Event], key: str, depth: int) -> Iterator[Tree]:
        index = 0
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            yield self._tree(event, events, f"{key}[{index}]", depth + 1)
            index += 1

    def _entries(self, events: Iterator[yaml.Event], key: str, depth: int) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            named = self._tree(event, events, key, depth + 1)
            if not isinstance(named, Scalar) or not 0 < len(named.text) <= _KEY_CHARS_MAX:
                raise _refused("a key is not a short text", named.place, "write `key: value`")
            name = named.text
            inner = f"{key}.{name}" if key else name
            place = Place(self._file, named.place.line, named.place.column, inner)
            if name in entries:
                raise _refused(
                    f"{shown(name)} is there twice, first on line {entries[name].place.line}",
                    place,
                    "keep one of them",
                )
            entries[name] = Entry(place, self._tree(next(events), events, inner, depth + 1))
        return entries

    def _require_plain(self, event: yaml.NodeEvent, place: Place) -> None:
        if event.anchor is not None:
            raise _refused(f"the anchor {shown(event.anchor)}", place, "write the value out where it is used")
        tag: object = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise _refused(f"the tag {shown(tag)}", place, "write a plain value")

    def _place(self, event: yaml.Event, key: str) -> Place:
        mark = event.start_mark
        return (
            Place(self._file, 1, 1, key)
            if mark is None
            else Place(self._file, mark.line + 1, mark.column + 1, key)
        )


def _told(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return f"this is not YAML: {', '.join(parts)[:160]}"


def _marked(error: yaml.MarkedYAMLError, file: str) -> Place:
    mark = error.problem_mark or error.context_mark
    return Place(file, 1, 1) if mark is None else Place(file, mark.line + 1, mark.column + 1)


def _refused(what: str, place: Place, fix: str) -> ScriptError:
    return ScriptError([Problem(what, place, fix)])
