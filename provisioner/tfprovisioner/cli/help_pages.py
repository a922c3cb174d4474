"""Help pages with groups: subcommands on the first page, options of a command with many.

A group is a ``rich_help_panel`` of typer's, which shows it only with rich. That takes four times as long.
"""

from typing import Any

from typer.core import TyperCommand, TyperGroup

KERNELS, NOTEBOOKS = "Kernels", "Notebooks, scripts and saved models"
"""Groups of subcommands, in the order of the page."""

_WIDEST = 24
"""Letters of an option before its text starts on the next line."""


class FirstPage(TyperGroup):
    """The command itself, on one screen."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        options = (max(option.opts, key=len) for option in self.get_params(ctx) if "--help" not in option.opts)
        formatter.write(f"Usage: {ctx.command_path} [{'|'.join(options)}] COMMAND …\n")
        formatter.write(f"  {self.help} See COMMAND --help.\n")
        commands = [command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))]
        width = max(len(command.name or "") for command in commands)
        for group in dict.fromkeys(str(getattr(command, "rich_help_panel", "")) for command in commands):
            formatter.write(f"{group}:\n")
            for command in commands:
                if getattr(command, "rich_help_panel", "") == group:
                    says = command.get_short_help_str(formatter.width - width - 4)
                    formatter.write(f"  {command.name:<{width}}  {says}\n")


class GroupedOptions(TyperCommand):
    """A command whose options are shown by topic, in the order of its parameters."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            group = getattr(parameter, "rich_help_panel", None) or usual
            if record := parameter.get_help_record(ctx):
                groups.setdefault(group, []).append(record)
        width = max(len(name) for rows in groups.values() for name, _ in rows if len(name) <= _WIDEST)
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(width), says) for name, says in rows], col_max=width)
