"""The words after -i and -o."""

from __future__ import annotations

import re
from typing import Any

import pytest
from IPython.core.magic_arguments import argument, magic_arguments

from tfkernels.errors import UsageError
from tfkernels.notebook.magic_arguments import cell_options, elsewhere, parse, parse_names


@pytest.fixture(scope="module")
def magic() -> Any:
    """A magic whose arguments are parsed; it does nothing."""

    @magic_arguments("magic")
    @argument("words", nargs="*")
    @cell_options
    def run(line: str) -> None: ...

    return run


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-i a,b", {"a": "a", "b": "b"}),
        ("-i a, b --input c", {"a": "a", "b": "b", "c": "c"}),
        ("-i x=images[:10, 0]", {"x": "images[:10, 0]"}),
        ("-i x=f(a,b),y=d['k,']", {"x": "f(a,b)", "y": "d['k,']"}),
        ("-i x=y==z", {"x": "y==z"}),
        ('-i "x=a + b"', {"x": "a + b"}),
        ("-i 'a, b'", {"a": "a", "b": "b"}),
        ("-i größe", {"größe": "größe"}),
        ("-i a,", {"a": "a"}),
        ("-i w=tf1:weights['a:b', 0]", {"w": "tf1:weights['a:b', 0]"}),
        ("-i tf1.12:w,b", {"w": "tf1.12:w", "b": "b"}),
        ("-i f=lambda a, b: a+b", {"f": "lambda a, b: a+b"}),
        ("-i f=tf1:lambda a, b: a, c", {"f": "tf1:lambda a, b: a", "c": "c"}),
        (r'-i s="a\",b", t', {"s": r'"a\",b"', "t": "t"}),
        ("-i s=\"a  b\",t='#1 -i x'", {"s": '"a  b"', "t": "'#1 -i x'"}),
        ("-i x=(a -b)", {"x": "(a -b)"}),
        ("-i x=a - b -o c", {"x": "a - b"}),
        ('-i s=r"\\d"', {"s": 'r"\\d"'}),
        ("-i a  # what's new", {"a": "a"}),
        ("-i=a --input=b --inp c", {"a": "a", "b": "b", "c": "c"}),
        ("", {}),
    ],
)
def test_values_end_where_their_expression_ends(magic: Any, line: str, expected: dict[str, str]) -> None:
    assert parse_names(parse(magic, line).input, "-i") == expected


def test_words_comments_and_options_beside_values(magic: Any) -> None:
    arguments = parse(magic, """tf1 'my kernel' -o y=f("-i"), z --timeout 3  # the model's""")
    assert (arguments.words, arguments.output, arguments.timeout) == (["tf1", "my kernel"], ['y=f("-i")', "z"], 3)


def test_an_option_follows_a_last_comma(magic: Any) -> None:
    arguments = parse(magic, "-i a, -o b, --timeout 3")
    assert (arguments.timeout, parse_names(arguments.input, "-i"), parse_names(arguments.output, "-o")) == (
        3, {"a": "a"}, {"b": "b"}
    )  # fmt: skip
    assert parse_names(parse(magic, "-i a,  # all").input, "-i") == {"a": "a"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-o x[0]", "-o x[0]: it is no name"),
        ("-o tf1:w", "-o tf1:w: "),
        ("-o a==b --timeout 3", "-o a==b: it is no name"),
        ("-o 1a", "-o 1a: it is no Python (invalid "),
        ("-o f(x)=3", "-o f(x)=3: "),
        ("-o x=f(3 --timeout 3", "-o x=f(3: "),
        ("-o x y --timeout 3", "-o x y: names need commas between. Write -o x,y"),
        ("-o", "-o needs a name"),
    ],
)
def test_refused_with_the_way_to_write_it(magic: Any, line: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_names(parse(magic, line).output, "-o")


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
