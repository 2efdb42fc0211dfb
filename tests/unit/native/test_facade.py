from __future__ import annotations

import ast
from pathlib import Path

from seawall import _native, native

ROOT = Path(native.__file__).resolve().parents[1]


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def test_only_the_facade_imports_the_compiled_module() -> None:
    importers = {
        path.relative_to(ROOT).parts[0]
        for path in ROOT.rglob("*.py")
        if "seawall._native" in imports_of(path)
    }
    assert importers == {"native"}


def test_stub_names_exactly_what_is_compiled() -> None:
    tree = ast.parse((ROOT / "_native.pyi").read_text())
    declared = {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }
    compiled = {name for name in dir(_native) if not name.startswith("_")}
    assert declared == compiled


def test_stub_names_exactly_the_members_of_each_class() -> None:
    tree = ast.parse((ROOT / "_native.pyi").read_text())
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            declared = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            compiled = set(vars(getattr(_native, node.name)))
            public = {name for name in compiled if not name.startswith("_")}
            assert {name for name in declared if not name.startswith("_")} == public, node.name


def test_all_names_of_the_facade_exist() -> None:
    assert sorted(native.__all__, key=str) == sorted(set(native.__all__), key=str)
    for name in native.__all__:
        assert hasattr(native, name)
