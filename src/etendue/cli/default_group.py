"""A command that takes arguments of its own and has subcommands beside: ``run PIPELINE`` and ``run status``."""

from collections.abc import Callable
from typing import Any

import click


class _OwnContext(click.Context):
    """Says the name of the group where it is asked for its own."""

    @property
    def command_path(self) -> str:
        return self.parent.command_path if self.parent is not None else super().command_path


class _Own(click.Command):
    context_class = _OwnContext

    def __init__(self, *args: Any, group: "DefaultGroup", **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._group = group

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        rows = [(name, command.get_short_help_str(limit=70)) for name, command in self._group.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class DefaultGroup(click.Group):
    """A group that does something of its own where the first word is none of its commands."""

    own: click.Command
    """What it does by itself."""

    def main_command(self, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
        """Decorate what it does by itself.

        Parameters
        ----------
        **attributes
            As of `click.command`.

        Returns
        -------
        callable
        """

        def decorate(function: Callable[..., Any]) -> click.Command:
            made = click.command(cls=_Own, group=self, **attributes)(function)
            self.own, self.help = made, made.help
            return made

        return decorate

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep everything: options too belong to the commands."""
        ctx.args = list(args)
        return ctx.args

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the first word names, or its own."""
        command = self.commands.get(ctx.args[0]) if ctx.args else None
        name, args = (ctx.args[0], ctx.args[1:]) if command is not None else (ctx.info_name, ctx.args)
        with (command or self.own).make_context(name, args, parent=ctx) as below:
            return below.command.invoke(below)
