"""Adds every command with its options to the page ``reference/command-line``, from typer."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from typer.core import TyperGroup
from typer.main import get_command

from tfprovisioner.cli.app import app as command_line

PAGE = "reference/command-line"

_OPTION = re.compile(r"(?<![\w`-])--?[a-z][\w-]*")
_DEFAULT = re.compile(r" *\[default: \(?(.*?)\)?\]$")


def commands_as_markdown() -> str:
    """With the commands in the order of their groups."""
    group = get_command(command_line)
    assert isinstance(group, TyperGroup)
    context = group.make_context("tfkernels", [], resilient_parsing=True)
    commands = [group.commands[name] for name in group.list_commands(context)]
    parts = ["", _options_of(group, context)]
    for panel in dict.fromkeys(_panel(command) for command in commands):
        parts.append(f"## {panel}\n")
        parts += [_section(command, context) for command in commands if _panel(command) == panel]
    return "\n".join(parts)


def _panel(item: Any, usual: str = "") -> str:
    return str(getattr(item, "rich_help_panel", None) or usual)


def _section(command: Any, parent: Any) -> str:
    context = type(parent)(command, info_name=command.name, parent=parent)
    usage = f"tfkernels {command.name} {' '.join(command.collect_usage_pieces(context))}"
    says = _paragraphs(command.help or "")
    return f"### {command.name}\n\n```text\n{usage}\n```\n\n{says}\n\n{_options_of(command, context)}"


def _paragraphs(text: str) -> str:
    """As help pages have it: lines of a paragraph belong together, and a block after \\b stays as it is."""
    paragraphs = []
    for part in text.replace("\f", "").strip().split("\n\n"):
        verbatim = part.startswith("\b")
        lines = part.removeprefix("\b").strip("\n")
        paragraphs.append(f"```text\n{lines}\n```" if verbatim else _plain(" ".join(lines.split())))
    return "\n\n".join(paragraphs)


def _plain(text: str) -> str:
    """Markdown in which nothing of a help text is markup, and options are code."""
    parts = re.split(r"(`[^`]*`)", text)
    for number in range(0, len(parts), 2):
        escaped = re.sub(r"([\\*_<>\[\]])", r"\\\1", parts[number])
        parts[number] = _OPTION.sub(lambda found: f"`{found[0]}`", escaped)
    return "".join(parts)


def _options_of(command: Any, context: Any) -> str:
    tables: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        kind = "argument" if parameter.param_type_name == "argument" else "option"
        title = _panel(parameter, f"{kind.capitalize()}s")
        name = record[0].replace("|", "\\|")
        says = _plain(_DEFAULT.sub(r" Default: \1.", record[1])).replace("|", "\\|")
        tables.setdefault(title, []).append(f"| `{name}` | {says} |")
    return "\n".join(f"| {title} | |\n|---|---|\n" + "\n".join(rows) + "\n" for title, rows in tables.items())


def _add_commands(_app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == PAGE:
        source[0] += commands_as_markdown()


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("env-get-outdated", lambda *_: [PAGE])  # the commands may have changed
    app.connect("source-read", _add_commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
