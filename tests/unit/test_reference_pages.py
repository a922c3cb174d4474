"""Reference pages list everything: settings, commands with their options, and public names. Indexes list every page."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import tfkernels
from tfkernels.env_vars import SETTINGS, Setting
from tfprovisioner.cli.app import app

_DOCS = Path(__file__).parents[2] / "docs"
_REFERENCE = _DOCS / "reference"
_GROUP = get_command(app)
assert isinstance(_GROUP, TyperGroup)
_COMMANDS = _GROUP.commands


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_settings_page_has_the_table_of_the_magic(setting: Setting) -> None:
    row = f"| `{setting.name}` | {setting.meaning} | {setting.default or '—'} |"
    assert row in (_REFERENCE / "settings.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", sorted(_COMMANDS))
def test_commands_page_has_every_option(command: str) -> None:
    page = (_REFERENCE / "commands.md").read_text(encoding="utf-8")
    options = [option for parameter in _COMMANDS[command].params for option in parameter.opts]
    assert f"`tfkernels {command}" in page
    assert not [option for option in options if option.startswith("-") and option not in page]


@pytest.mark.parametrize("name", sorted({"attach", "kernel", "seed", *tfkernels._ELSEWHERE}))
def test_python_page_has_every_public_name(name: str) -> None:
    assert f"`{name}(" in (_REFERENCE / "python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", ["tutorials", "how-to", "reference", "explanation", "design"])
def test_index_links_to_every_page(folder: str) -> None:
    index = _DOCS / folder / "index.md"
    text = index.read_text(encoding="utf-8")
    assert not [page.name for page in index.parent.glob("*.md") if page != index and f"]({page.name})" not in text]
    assert f"]({folder}/index.md)" in (_DOCS / "index.md").read_text(encoding="utf-8")


def test_index_of_tutorials_links_to_every_notebook() -> None:
    text = (_DOCS / "tutorials" / "index.md").read_text(encoding="utf-8")
    notebooks = _DOCS.parent / "notebooks"
    pages = [*notebooks.glob("*.ipynb"), *notebooks.glob("*.md")]
    assert not [page.name for page in pages if f"](../../notebooks/{page.name})" not in text]


@pytest.mark.parametrize(("page", "line"), [("CHANGELOG.md", "## {}"), ("CITATION.cff", "version: {}\n")])
def test_version_is_named(page: str, line: str) -> None:
    assert line.format(tfkernels.__version__) in (_DOCS.parent / page).read_text(encoding="utf-8")
