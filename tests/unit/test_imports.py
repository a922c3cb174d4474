"""Imports that our own code makes while cells run skip the user's folder."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tfkernels
from tfkernels.errors import ShadowedModule
from tfkernels.imports import own_imports

PACKAGE = Path(tfkernels.__file__).parent
NAME = "shadowed_library"
BEFORE_THE_USERS_FOLDER_IS_ON_THE_PATH = {"launcher.py", "start.py", "start_or_explain.py", "inject.py"}


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


def run(folder: Path, code: str) -> None:
    """Imports a module of that code."""
    (folder / "importing.py").write_text(code)
    importlib.invalidate_caches()
    importlib.import_module("importing")


def test_the_users_folder_is_skipped() -> None:
    assert origin() == "user"
    with own_imports():
        assert origin() == "library"
    assert origin() == "user"


def test_the_folder_of_a_script_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "user" / "script.py"), raising=False)
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


def test_distributions_are_listed_once() -> None:
    with own_imports():
        pass
    assert len(list(importlib.metadata.distributions(name="pytest"))) == 1


@pytest.mark.parametrize(
    "failing",
    ["from {0} import lacks", "import {0}\n{0}.lacks", "import {0}.lacks", "import {0}\n{0}.fail()", "import uses_it"],
)
def test_the_file_that_an_error_is_about_is_named(library: Path, tmp_path: Path, failing: str) -> None:
    (library.parent / "uses_it.py").write_text(
        f"try:\n    from {NAME} import lacks\nexcept ImportError:\n    raise ImportError('no')"
    )
    file = tmp_path / "user" / f"{NAME}.py"
    file.write_text("def fail():\n    raise ImportError('no')")
    importlib.import_module(NAME)
    with pytest.raises(ShadowedModule, match=f"Cannot use {NAME}: the file {file}"), own_imports():
        run(library.parent, failing.format(NAME))


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        ("import not_there", ImportError),
        ("from json import lacks", ImportError),
        ("import json\njson.lacks", AttributeError),
    ],
)
def test_other_errors_blame_no_file(library: Path, failing: str, error: type[Exception]) -> None:
    assert origin() == "user"
    with pytest.raises(error), own_imports():
        run(library.parent, failing)


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
