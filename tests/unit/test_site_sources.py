"""Pages of the repository become pages of the site: navigation, links, cells, versions, and the commands."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from tfprovisioner.cli.app import app

_DOCS = Path(__file__).parents[2] / "docs"


def loaded(path: str) -> ModuleType:
    """A module of the site's build; it is on no import path."""
    spec = importlib.util.spec_from_file_location(f"site_{Path(path).stem}", _DOCS / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_lists_of_an_index_are_its_navigation() -> None:
    text = "# How-to\n\n- [A](a.md): first.\n\n## Results\n\n- [B](../notebooks/b.ipynb): second.\nA [link](c.md).\n"
    trees = loaded("_extensions/navigation.py").trees(text)
    assert trees.split("```") == [
        "\n", "{toctree}\n:hidden:\n\na\n", "\n\n", "{toctree}\n:hidden:\n:caption: Results\n\n../notebooks/b\n", "\n",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "target", "link", "there"),
    [
        ("docs/design/index.md", "design/index", "../../ARCHITECTURE.md", "../project/architecture.md"),
        ("docs/how-to/a.md", "how-to/a", "../../notebooks/b.ipynb", "../notebooks/b.ipynb"),
        ("docs/how-to/a.md", "how-to/a", "b.md#heading", "b.md#heading"),
        ("ARCHITECTURE.md", "project/architecture", "docs/design/index.md", "../design/index.md"),
        ("ARCHITECTURE.md", "project/architecture", "CONTRIBUTING.md", "contributing.md"),
        ("docs/index.md", "index", "https://example.org/a.md", "https://example.org/a.md"),
        ("docs/index.md", "index", "#start", "#start"),
    ],
)
def test_links_lead_to_the_copies(origin: str, target: str, link: str, there: str) -> None:
    relinked = loaded("_extensions/outside_pages.py").relinked
    assert relinked(f"See [this]({link}), ![that](x.png).", origin, target) == f"See [this]({there}), ![that](x.png)."


def test_pages_with_a_kernel_are_executed() -> None:
    as_notebook = loaded("_extensions/executed_cells.py").as_notebook
    page = "# A\n\n```python\n%%tf1\n1\n```\n\n```toml\n```\n"
    cells = as_notebook(f"---\nfile_format: mystnb\nkernelspec: {{name: tf2}}\n---\n{page}")
    assert "```{code-cell} ipython3\n%%tf1\n1\n```" in cells
    assert "```toml" in cells
    assert "code-cell" not in as_notebook(page)


def test_the_page_of_commands_has_every_option() -> None:
    text = loaded("_extensions/command_line_page.py").commands_as_markdown()
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    sections = {part.partition("\n")[0]: part for part in text.split("\n### ")[1:]}
    assert sorted(sections) == sorted(group.commands)
    for name, command in group.commands.items():
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("-")]
        assert not [option for option in options if option not in sections[name]], name


def test_the_newest_version_comes_first(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "index.html").write_text("")
    loaded("build.py").write_versions(tmp_path, "/tfkernels/")
    entries = json.loads((tmp_path / "versions.json").read_text())
    assert [(each["url"], each["preferred"]) for each in entries] == [
        ("/tfkernels/0.10.0/", True), ("/tfkernels/0.9.0/", False)
    ]  # fmt: skip
    assert "0.10.0/index.html" in (tmp_path / "index.html").read_text()


def test_the_page_of_formats_has_every_name() -> None:
    text = loaded("_extensions/schema_page.py").tables(_DOCS / "schemas")
    assert "| `runs[].failure.kind` | string | the class of the error |" in text
    assert '| `format` | `"tfkernels-report"` |' in text
    assert text.count("\n## ") == len(list((_DOCS / "schemas").iterdir()))
