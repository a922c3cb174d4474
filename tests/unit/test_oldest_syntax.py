"""The syntax of what runs in kernels, by the grammar of their oldest Python; ruff and vermin know a part of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from parso.grammar import load_grammar

GRAMMAR: Any = load_grammar(version="3.7")
KERNELS = Path(__file__).parents[2] / "kernels"


def errors(code: str) -> list[str]:
    return [f"line {error.start_pos[0]}: {error.message}" for error in GRAMMAR.iter_errors(GRAMMAR.parse(code))]


def test_modules_have_the_oldest_syntax() -> None:
    assert errors("pair: tuple = 1, 2") == ["line 1: SyntaxError: invalid syntax"]
    modules = {path: errors(path.read_text(encoding="utf-8")) for path in KERNELS.rglob("*.py")}
    assert len(modules) > 50
    assert {path: found for path, found in modules.items() if found} == {}
