"""What the cursor stands on: ``|`` in these cells."""

from __future__ import annotations

import pytest

from tfkernels.notebook.completion_context import Code, Word, find

KERNELS = {"tf1", "tf2.11"}

CODE = [
    ("%%tf1\nimport os\nos.pa|th", "tf1", "import os\nos.pa|th"),
    ("%%tf1 -i a -o b\nx.|", "tf1", "x.|"),
    ("\n\n%%tf2.11\n|", "tf2.11", "|"),
    ("%%time\n%%tf1\nx.|", "tf1", "x.|"),
    ("%%capture out\n%%tf1\nx.|", "tf1", "x.|"),
    ("%%tf1\n%%time\nx.|", "tf1", "%%time\nx.|"),
    ("%%in python3.11 -i a\nx.|", "python3.11", "x.|"),
    ("%%each tf1 tf2.11\nx.|", "tf1", "x.|"),
    ("%%tf1\nä𝄞 = 'ö'; ä𝄞.|up", "tf1", "ä𝄞 = 'ö'; ä𝄞.|up"),
    ("a = 1\n%tf1 x.sh|\nb = 2", "tf1", "x.sh|"),
    ("y = %tf1 x[0].|", "tf1", "x[0].|"),
    ("a, b = %tf1 f(x, 𝄞.|)", "tf1", "f(x, 𝄞.|)"),
    ("%in python3 x.|", "python3", "x.|"),
    ("%%tf1 -i im|", None, "im|"),
    ("%%tf1 -i im|ages -o b\npass", None, "im|ages"),
    ("%%tf1 -i a,w=images.sh|", None, "images.sh|"),
    ("%%tf1 -i a, w = f(x, y.|", None, "f(x, y.|"),
    ("%%tf1 --input 'a, b|", None, "b|"),
    ("%%tf1 -i w=tf2.11:weights.|", "tf2.11", "weights.|"),
    ("%%tf1 -i x[1:n|", None, "x[1:n|"),
    ("%%tf1 -o |", "tf1", "|"),
    ("%%tf1 -i a -o b,loss=history.|", "tf1", "history.|"),
    ("%%in python3 -o a.|", "python3", "a.|"),
    ("%%each tf1 tf2.11 -o a.|", "tf1", "a.|"),
    ("%%tf1 -i f=lambda a, b: im|", None, "lambda a, b: im|"),
    ("%%tf1 -i s=f('-o b', im|", None, "f('-o b', im|"),
    ("%%tf1 --input=im|", None, "im|"),
]

WORDS = [
    ("%%tf1 -|", "option", "-"),
    ("%%tf1 -i a --out|", "option", "--out"),
    ("%%in py|", "any kernel", "py"),
    ("%%in |", "any kernel", ""),
    ("%in py|", "any kernel", "py"),
    ("%%in python3 --|", "option", "--"),
    ("%%each |", "kernel", ""),
    ("%%each tf1 tf|", "kernel", "tf"),
    ("%tfkernels |", "action", ""),
    ("x = 1\n%tfkernels re|", "action", "re"),
    ("%tfkernels restart |", "kernel", ""),
    ("%tfkernels restart tf1 t|", "kernel", "t"),
    ("%tfkernels attach ab|", "connection", "ab"),
    ("%tfkernels attach ab --|", "option", "--"),
    ("%tfkernels log de|", "log level", "de"),
    ("%tfkernels settings |", "nothing", ""),
    ("%tfkernels install 2.11 --|", "nothing", "--"),
]

NOT_OURS = [
    "x.|", "%%t|", "%%tf1|", "%%tf3\nx.|", "%%bash\n%%tf1\nx.|", "%%bash\n%tf1 x.|", "%tf|1 x", "%time x.|",
    "x = 5 %tf1 .|", "x = '%%tf1'\nx.|", "# y = %tf1 x.|", "%%tf1 --timeout 1|", "%%timeit -n|", "", "|", "%|", "%%|",
    "%%in\nx.|", "%%each tf1 --timeout 1|", "%%each tf1  # in|",
]  # fmt: skip


def at(cell: str) -> tuple[str, int]:
    return cell.replace("|", ""), cell.find("|")


@pytest.mark.parametrize(("cell", "kernel", "code"), CODE)
def test_code_of_a_kernel(cell: str, kernel: str | None, code: str) -> None:
    text, cursor = at(cell)
    found = find(text, cursor, KERNELS.__contains__)
    assert isinstance(found, Code)
    assert (found.kernel, found.text, found.cursor) == (kernel, *at(code))
    assert text[found.start :].startswith(found.text), "where matches are to be put in"


@pytest.mark.parametrize(("cell", "kind", "word"), WORDS)
def test_a_word_of_a_magic(cell: str, kind: str, word: str) -> None:
    text, cursor = at(cell)
    found = find(text, cursor, KERNELS.__contains__)
    assert isinstance(found, Word)
    assert (found.kind, found.text) == (kind, word)
    assert text[found.start : cursor] == word


@pytest.mark.parametrize("cell", NOT_OURS)
def test_nothing_of_ours(cell: str) -> None:
    assert find(*at(cell), KERNELS.__contains__) is None


@pytest.mark.parametrize("cell", [cell for cell, *_ in CODE + WORDS] + NOT_OURS)
def test_the_cursor_may_stand_anywhere(cell: str) -> None:
    text, _ = at(cell)
    for cursor in range(len(text) + 1):
        found = find(text, cursor, KERNELS.__contains__)
        if isinstance(found, Code):
            assert text[found.start :].startswith(found.text)
            assert 0 <= found.cursor == cursor - found.start <= len(found.text)
        elif found is not None:
            assert text[found.start : cursor] == found.text
