"""The words after -i and -o."""

from __future__ import annotations

import pytest

from tfkernels.errors import UsageError
from tfkernels.names import parse_names


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
        ([], {}),
    ],
)
def test_understood(words: list[list[str]], expected: dict[str, str]) -> None:
    assert parse_names(words, "-i") == expected


@pytest.mark.parametrize("words", ["x[0]", "1a", "a==b", "a b", "f(x)=3"])
def test_refused_with_the_way_to_write_it(words: str) -> None:
    with pytest.raises(UsageError, match="write a name"):
        parse_names([[words]], "-o")
