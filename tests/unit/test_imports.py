"""Imports that our own code makes while cells run skip the user's folder."""

from __future__ import annotations

import ast
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tfkernels
from tfkernels.imports import own_imports

PACKAGE = Path(tfkernels.__file__).parent
NAME = "shadowed_library"
BEFORE_THE_USERS_FOLDER_IS_ON_THE_PATH = {"launcher.py", "start_or_explain.py", "inject.py"}


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of which the user's folder, the current one, has another."""
    for folder, value in (("site", "'library'"), ("user", "'user'")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{NAME}.py").write_text(f"of = {value}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.syspath_prepend("")
    monkeypatch.chdir(tmp_path / "user")
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    return tmp_path / "site" / f"{NAME}.py"


def origin() -> str:
    sys.modules.pop(NAME, None)
    return str(importlib.import_module(NAME).of)


def test_the_users_folder_is_skipped() -> None:
    assert origin() == "user"
    with own_imports():
        assert origin() == "library"
    assert origin() == "user"


def test_the_folder_of_a_script_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "user" / "script.py"))
    monkeypatch.syspath_prepend(tmp_path / "user")
    with own_imports():
        assert origin() == "library"


def test_a_file_of_the_user_is_no_library(library: Path) -> None:
    library.unlink()
    importlib.invalidate_caches()
    with own_imports(), pytest.raises(ModuleNotFoundError, match=f"No module named '{NAME}'"):
        origin()
    assert origin() == "user"


def test_other_threads_import_for_the_user() -> None:
    with own_imports(), ThreadPoolExecutor(1) as other:
        assert other.submit(origin).result() == "user"


def test_own_imports_work_in_deleted_folders(library: Path, tmp_path: Path) -> None:
    (tmp_path / "user" / f"{NAME}.py").unlink()
    (tmp_path / "user").rmdir()
    with own_imports():
        assert origin() == "library"


def _within(node: ast.AST, own: bool, in_function: bool) -> list[int]:
    """The lines of imports in functions that are not in ``own_imports``."""
    if isinstance(node, ast.With) and ast.unparse(node.items[0].context_expr) == "own_imports()":
        own = True
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        in_function = True
    imports = isinstance(node, (ast.Import, ast.ImportFrom)) and "own_imports" not in ast.unparse(node)
    called = isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module"
    found = [node.lineno] if (imports or called) and in_function and not own else []  # type: ignore[attr-defined] # has
    return found + [line for child in ast.iter_child_nodes(node) for line in _within(child, own, in_function)]


def test_imports_in_functions_are_own_imports() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        if path.name not in BEFORE_THE_USERS_FOLDER_IS_ON_THE_PATH
        for line in _within(ast.parse(path.read_text(encoding="utf-8")), own=False, in_function=False)
    ]
    assert not found
