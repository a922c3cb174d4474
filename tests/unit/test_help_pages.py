"""Help pages have their commands and options in groups; the first page is one screen."""

from __future__ import annotations

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from tfprovisioner.cli.app import app
from tfprovisioner.cli.help_pages import KERNELS, NOTEBOOKS


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", "80")
    return CliRunner().invoke(app, ["--help"]).output.splitlines()


def test_the_first_page_is_one_screen(page: list[str]) -> None:
    assert len(page) <= 24
    assert max(map(len, page)) <= 80
    assert not [line for line in page if line.startswith("  ") and line.endswith("...")], "all descriptions fit"


def test_the_first_page_has_commands_in_groups(page: list[str]) -> None:
    headings = [line.removesuffix(":") for line in page if line.endswith(":") and not line.startswith(" ")]
    assert headings == [KERNELS, NOTEBOOKS]
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    listed = [line.split()[0] for line in page[page.index(f"{KERNELS}:") :] if line.startswith("  ")]
    assert sorted(listed) == sorted(group.commands)


def test_install_help_has_every_option_by_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    page = CliRunner().invoke(app, ["install", "--help"]).output
    headings = [line.removesuffix(":") for line in page.splitlines() if line.endswith(":") and line[:1].isalpha()]
    assert headings == ["Arguments", "Options", "Packages", "Sources of packages", "GPUs", "Conda"]
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    options = [option for parameter in group.commands["install"].params for option in parameter.opts]
    assert not [option for option in options if option.startswith("-") and option not in page]
