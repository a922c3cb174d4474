"""Tab and Shift-Tab in the cells of another kernel, asked as JupyterLab, `jupyter console` and a terminal ask."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from jupyter_client.manager import start_new_kernel

from tests.support.notebooks import plain
from tests.support.waiting import DEADLINE

HOSTS = [("python3", "tf1"), ("tf1", "tf2"), ("tf2", "tf1")]
TYPES = "_jupyter_types_experimental"


class Notebook(NamedTuple):
    """A notebook's kernel in which another one, ``there``, has a session."""

    client: Any
    here: str
    there: str

    def run(self, code: str) -> str:
        """What it printed."""
        shown: list[str] = []
        reply = self.client.execute_interactive(
            code.format(T=self.there),
            timeout=DEADLINE,
            output_hook=lambda message: shown.append(message["content"].get("text", "")),
        )
        assert reply["content"]["status"] == "ok", plain("\n".join(reply["content"]["traceback"]))
        return "".join(shown)

    def value(self, expression: str) -> str:
        reply = self.client.execute("", user_expressions={"it": expression}, reply=True, timeout=DEADLINE)
        return str(reply["content"]["user_expressions"]["it"]["data"]["text/plain"])

    def at(self, cell: str) -> tuple[str, int]:
        text = cell.replace("{T}", self.there)
        return text.replace("|", ""), text.find("|")

    def _matches(self, cell: str) -> dict[str, Any]:
        reply: dict[str, Any] = self.client.complete(*self.at(cell), reply=True, timeout=DEADLINE)["content"]
        assert reply["status"] == "ok"
        return reply

    def words(self, cell: str) -> set[str]:
        """The matches."""
        return set(self._matches(cell)["matches"])

    def complete(self, cell: str) -> dict[str, str | None]:
        """The cell's text with each match put in, and the matches' types."""
        text, reply = self.at(cell)[0], self._matches(cell)
        before, after = text[: reply["cursor_start"]], text[reply["cursor_end"] :]
        types = [match.get("type") for match in reply["metadata"].get(TYPES, [])] or [None] * len(reply["matches"])
        return {before + match + after: kind for match, kind in zip(reply["matches"], types, strict=True)}

    def inspect(self, cell: str) -> str:
        text, cursor = self.at(cell)
        reply = self.client.inspect(text, cursor, reply=True, timeout=DEADLINE)["content"]
        assert reply["status"] == "ok"
        return plain(reply["data"]["text/plain"]) if reply["found"] else ""


@pytest.fixture(scope="module", params=HOSTS, ids=[f"{there}-from-{here}" for here, there in HOSTS])
def notebook(request: pytest.FixtureRequest, installed: object) -> Iterator[Notebook]:
    here, there = request.param
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name=here)
    try:
        opened = Notebook(client, here, there)
        opened.run("%load_ext tfkernels\nimport collections\nimages, image_size, tf = [1], 2, 'of this kernel'")
        opened.run(
            "%%{T}\nimport tensorflow as tf, numpy as np\nlogits = np.ones((2, 3)); table = dict(entry=1)\n"
            "class Net:\n    '''Layers and layers.'''\n    depth = 3\n    def fit(self): pass"
        )
        yield opened
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_names_of_its_tensorflow(notebook: Notebook) -> None:
    assert notebook.complete("%%{T}\ntf.nn.rel|")[f"%%{notebook.there}\ntf.nn.relu"] == "function"
    names = notebook.complete("%%{T}\ntf.|")
    assert names[f"%%{notebook.there}\ntf.Variable"] == "class"
    assert names[f"%%{notebook.there}\ntf.nn"] == "module"
    assert f"%%{notebook.there}\ntf.zeros" in names, "the last of many"
    assert (f"%%{notebook.there}\ntf.Session" in names) == (notebook.there == "tf1")
    assert notebook.complete("%%{T}\nNet.|")[f"%%{notebook.there}\nNet.depth"] == "instance"


def test_wherever_its_code_stands(notebook: Notebook) -> None:
    for cell in [
        "%%{T} -i images -o logits\n'ä𝄞'; logits.sha|",
        "%%capture got\n%%{T}\nlogits.sha|",
        "%%in {T}\nlogits.sha|",
        "%%each {T}\nlogits.sha|",
        "a = '𝄞'\ny = %{T} logits.sha|",
        "%in {T} logits.sha|",
        "%%{T} -o size=logits.sha|",
        "%%" + ("tf2" if notebook.there == "tf1" else "tf1") + " -i n={T}:logits.sha|",
    ]:
        assert set(notebook.complete(cell)) == {notebook.at(cell)[0] + "pe"}, cell


def test_code_that_has_not_run_yet(notebook: Notebook) -> None:
    assert f"%%{notebook.there}\nimport json; json.dumps" in notebook.complete("%%{T}\nimport json; json.dum|")
    assert any("entry" in match for match in notebook.words("%%{T}\ntable['|"))


def test_an_answer_may_take_as_long_as_jedi(notebook: Notebook) -> None:
    notebook.run(
        "%%{T}\nclass Slow:\n    def __dir__(self):\n        import time\n        time.sleep(2)\n"
        "        return ['found']\nslow = Slow()"
    )
    assert notebook.words("%%{T}\nslow.|") == {"found"}


def test_values_to_pass(notebook: Notebook) -> None:
    assert notebook.words("%%{T} -i imag|") == {"images", "image_size"}
    assert notebook.words("%%{T} -i a, b=imag|") == {"images", "image_size"}
    assert notebook.words("%%{T} -i images -o log|") == {"logits"}
    assert {"logits", "table", "Net"} <= notebook.words("%%{T} -o |")
    assert "images" not in notebook.words("%%{T} -o |")


def test_words_of_the_magics(notebook: Notebook) -> None:
    assert {"--input", "--output", "--background", "--timeout", "-i", "-o"} <= notebook.words("%%{T} -|")
    assert notebook.words("%%{T} --ti|") == {"--timeout"}
    assert notebook.words("%%each {T} --ti|") == {"--timeout"}
    assert notebook.words("%tfkernels st|") == {"stop"}
    assert notebook.words("%tfkernels attach --a|") == {"--as"}
    for cell in ["%tfkernels restart |", "%%each |", "%%each tf1 |", "%%in |", "%in |"]:
        assert {"tf1", "tf2"} <= notebook.words(cell), cell
    assert {"%%tf1", "%%tf2"} <= notebook.complete("%%tf|").keys()


def test_a_kernel_that_does_not_exist_is_not_offered(notebook: Notebook) -> None:
    reply = notebook.client.execute("%%tf3\npass", reply=True, timeout=DEADLINE)
    assert reply["content"]["ename"] == "UnknownKernel"
    assert "%%tf3" not in notebook.complete("%%tf|")


def test_its_help(notebook: Notebook) -> None:
    assert "rectified linear" in notebook.inspect("%%{T}\ntf.nn.rel|u").lower()
    assert "rectified linear" in notebook.inspect("y = %{T} tf.nn.relu(|").lower()
    assert "Layers and layers." in notebook.inspect("%%{T} -o Net|")
    assert "list" in notebook.inspect("%%{T} -i im|ages").lower()
    for question in ["%{T} Net?", "%{T} ?Net", "%in {T} Net?", "%%{T}\nNet?"]:
        assert "Layers and layers." in notebook.run(question), question


def test_the_help_of_a_magic_has_a_working_example(notebook: Notebook) -> None:
    shown = notebook.inspect("%%{T}|")
    assert f"\n  %%{notebook.there} [-i NAMES] [-o NAMES] [--timeout S] [--background [HANDLE]]" in shown
    assert "\n  %%each KERNEL [KERNEL ...] [-i NAMES] [-o NAMES] [--timeout S]\n" in notebook.inspect("%%each|")
    example = shown[shown.index("example:") : shown.index("\nFile:")]
    for cell in example.split("\n\n")[1:]:
        notebook.run("\n".join(line.strip() for line in cell.splitlines()))
    assert notebook.value("y") == "6"


ORDINARY = [
    "images.ap|",
    "image|",
    "collections.Ordered|",
    "%whos|",
    "%%bash\nech|",
    "import jso|",
    "x = 5 % im|",
    "tf.cap|",
]


def test_nothing_changes_elsewhere(notebook: Notebook) -> None:
    with_us = [notebook.complete(cell).keys() for cell in ORDINARY]  # types are a question of time for Jedi
    described = [notebook.inspect(cell) for cell in ["imag|es", "collections.Ordered|Dict"]]
    notebook.run("%unload_ext tfkernels")
    try:
        assert [notebook.complete(cell).keys() for cell in ORDINARY] == with_us
        assert [notebook.inspect(cell) for cell in ["imag|es", "collections.Ordered|Dict"]] == described
    finally:
        notebook.run("%load_ext tfkernels")


def test_completion_does_not_wait_for_busy_kernels(notebook: Notebook) -> None:
    assert notebook.words("%%{T}\ntf.capi|") == {"capitalize"}, "it was ended, and nobody starts it for a Tab"
    assert "not running" in notebook.value(f"repr(__import__('tfkernels').kernel('{notebook.there}'))")
    notebook.run(
        f"import tfkernels\ncall = tfkernels.kernel('{notebook.there}').submit('import time; time.sleep(1000)')"
    )
    assert notebook.words("%%{T}\ntf.capi|") == {"capitalize"}
    assert "str" in notebook.inspect("%%{T}\nt|f").lower()
    assert notebook.value("call.done()") == "False", "it was answered from here while the cell ran"
    notebook.run("call.cancel()")


_TERMINAL = """
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from IPython.terminal.ptutils import IPythonPTCompleter
from prompt_toolkit.document import Document
shell = TerminalInteractiveShell.instance()
shell.run_cell("%load_ext tfkernels\\nimages = 1")
shell.run_cell("%%in python3\\nlogits = [1]")
def complete(text):
    return {found.text for found in IPythonPTCompleter(shell=shell).get_completions(Document(text, len(text)), None)}
assert complete("%%in python3\\nlogits.app") == {"append"}, complete("%%in python3\\nlogits.app")
assert complete("%%in python3 -i ima") == {"images"}
assert "append" not in complete("images.app")
shell.run_line_magic("unload_ext", "tfkernels")
assert complete("%%in python3 -i nothing") == set()
"""


def test_at_the_prompt_of_a_terminal() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", _TERMINAL], check=True, timeout=DEADLINE)
