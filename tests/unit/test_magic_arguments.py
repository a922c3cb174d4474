"""The words after -i and -o."""

from __future__ import annotations

import pytest

from tfkernels.errors import UsageError
from tfkernels.notebook.magic_arguments import elsewhere, parse_names


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([["a,b"]], {"a": "a", "b": "b"}),
        ([["a,", "b"], ["c"]], {"a": "a", "b": "b", "c": "c"}),
        ([["x=images[:10,", "0]"]], {"x": "images[:10, 0]"}),
        ([["x=f(a,b),y=d['k,']"]], {"x": "f(a,b)", "y": "d['k,']"}),
        ([["x=y==z"]], {"x": "y==z"}),
        ([['"x=a + b"']], {"x": "a + b"}),
        ([["größe"]], {"größe": "größe"}),
        ([["a,"]], {"a": "a"}),
        ([["w=tf1:weights['a:b', 0]"]], {"w": "tf1:weights['a:b', 0]"}),
        ([["tf1.12:w,b"]], {"w": "tf1.12:w", "b": "b"}),
        ([], {}),
    ],
)
def test_understood(words: list[list[str]], expected: dict[str, str]) -> None:
    assert parse_names(words, "-i") == expected


@pytest.mark.parametrize("words", ["x[0]", "1a", "a==b", "a b", "f(x)=3"])
def test_refused_with_the_way_to_write_it(words: str) -> None:
    with pytest.raises(UsageError, match="it is no name"):
        parse_names([[words]], "-o")


def test_names_of_other_kernels_are_inputs_only() -> None:
    with pytest.raises(UsageError, match="it is no name"):
        parse_names([["tf1:w"]], "-o")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("tf1:w + 1", ("tf1", "w + 1")),
        ("tf1.12: w[1:2]", ("tf1.12", "w[1:2]")),
        ("my-kernel:{'a': 1}", ("my-kernel", "{'a': 1}")),
        ("w[tf1:2]", (None, "w[tf1:2]")),
        ("{tf1:2}", (None, "{tf1:2}")),
        ("lambda:0", (None, "lambda:0")),
        ("lambda x: 0", (None, "lambda x: 0")),
        ("(x:=1)", (None, "(x:=1)")),
        ("x:=1", (None, "x:=1")),
    ],
)
def test_what_is_another_kernels_and_what_is_python(expression: str, expected: tuple[str | None, str]) -> None:
    assert elsewhere(expression) == expected
