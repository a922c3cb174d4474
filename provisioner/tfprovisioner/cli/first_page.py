"""The command's first page: its subcommands in groups, on one screen."""

from typing import Any

from typer.core import TyperGroup

KERNELS, NOTEBOOKS = "Kernels", "Notebooks and scripts"
"""Groups of subcommands, in the order of the page: the ``rich_help_panel`` of each, typer's word for it."""


class FirstPage(TyperGroup):
    """The command itself. Typer shows groups only with rich, which takes four times as long."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write_usage(ctx.command_path, " ".join(self.collect_usage_pieces(ctx)))
        formatter.write(f"  {self.help}\n")
        commands = [command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))]
        width = max(len(command.name or "") for command in commands)
        for group in dict.fromkeys(str(getattr(command, "rich_help_panel", "")) for command in commands):
            formatter.write(f"{group}:\n")
            for command in commands:
                if getattr(command, "rich_help_panel", "") == group:
                    says = command.get_short_help_str(formatter.width - width - 4)
                    formatter.write(f"  {command.name:<{width}}  {says}\n")
        options = (max(option.opts, key=len) for option in self.get_params(ctx))
        formatter.write(f"Options: {', '.join(options)}\n")
        formatter.write(f"The options of a command: {ctx.command_path} COMMAND --help\n")
