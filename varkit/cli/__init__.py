"""The command line: one short module per verb, imported only when that verb is called.

Plugins may add verbs, but cannot replace those of varkit. They are loaded only to list all verbs,
or for a verb that is not in varkit's own table.

The verbs' modules import heavy packages inside their functions, so ``varkit --help`` and shell
completion stay fast. Library errors become messages here and nowhere else.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from varkit import __version__
from varkit.errors import RecipeError, VarkitError, did_you_mean, named
from varkit.plugins.loading import PATIENCE
from varkit.plugins.registry import import_target

if TYPE_CHECKING:
    from varkit.plugins.loading import Plugins

VERBS: dict[str, tuple[str, str]] = {
    "index": (
        "varkit.cli.index:index",
        "Index a folder of videos, so that it can be searched.",
    ),
    "search": (
        "varkit.cli.search:search",
        "Find videos and moments by a sentence, a sound or an example.",
    ),
    "find": ("varkit.cli.search:find", "Index a folder and search it in one go."),
    "run": ("varkit.cli.run:run", "Train and measure a recipe."),
    "resume": ("varkit.cli.resume:resume", "Continue a run that was stopped or killed."),
    "eval": (
        "varkit.cli.evaluate:evaluate",
        "Measure a trained run again, or under changed options.",
    ),
    "report": ("varkit.cli.report:report", "Write a run's page again."),
    "embeddings": (
        "varkit.cli.embeddings:embeddings",
        "Measure embeddings of any model; export, fuse and re-rank runs.",
    ),
    "validate": ("varkit.cli.validate:validate", "Check a recipe and list every problem."),
    "show": (
        "varkit.cli.show:show",
        "Print a complete recipe, and where each value came from.",
    ),
    "ls": ("varkit.cli.ls:ls", "List the recipes that ship with varkit."),
    "cp": ("varkit.cli.cp:cp", "Copy a shipped recipe, to change it."),
    "schema": ("varkit.cli.schema:schema", "Print the JSON Schema of recipes, for editors."),
    "extract": (
        "varkit.cli.extract:extract",
        "Make features from video and sound files.",
    ),
    "convert": (
        "varkit.cli.convert:convert",
        "Write other people's weights as safetensors.",
    ),
    "data": ("varkit.cli.data:data", "Import, verify, measure, show and get data sets."),
    "plugins": (
        "varkit.cli.plugins:plugins",
        "List components and verbs, and plugins that failed to load.",
    ),
    "plugin": ("varkit.cli.plugin:plugin", "Start a plugin, or test one."),
    "doctor": ("varkit.cli.doctor:doctor", "Check this machine."),
}
"""Verb -> (module:command, summary); with summaries here, help need not import the verbs."""

ARGUMENTS = f"{__name__}.arguments"
"""Key of the command line in click's context."""
HELP_PATIENCE = 3.0
"""Seconds after which help does not wait for the import of a plugin any longer."""
MOST_PROBLEMS = 30
"""How many problems are printed; the rest are counted."""


class Verbs(click.Group):
    """The table of verbs as a click group, and the only place where errors are printed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs of varkit in the table's order, then those of plugins."""
        return [*VERBS, *_added(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        if cmd_name not in VERBS:
            added = installed_plugins(ctx).command(cmd_name)
            return None if added is None else added.load()
        command: click.Command = import_target(VERBS[cmd_name][0], f"verb {cmd_name!r}")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; click's own hint knows only imported verbs."""
        if args[0] not in VERBS and installed_plugins(ctx).command(args[0]) is None:
            verbs = self.list_commands(ctx)
            ctx.fail(
                f"no verb {args[0]!r}.{did_you_mean(args[0], verbs)} Verbs: {', '.join(verbs)}."
                + installed_plugins(ctx).failed()
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs' summaries from the table."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, summary) for verb, (_, summary) in VERBS.items()])
        if added := _added(ctx):
            with formatter.section("Verbs of plugins"):
                formatter.write_dl(list(added.items()))
        if failures := installed_plugins(ctx, HELP_PATIENCE).failures:
            with formatter.section("Plugins that failed to load"):
                formatter.write_dl([(failure.plugin, failure.reason) for failure in failures])

    def make_context(self, *arguments: Any, **keywords: Any) -> click.Context:
        """Read the options that stand before the verb."""
        try:
            return super().make_context(*arguments, **keywords)
        except click.ClickException as error:
            raise _escaped(error) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the arguments, for hints."""
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; turn errors into a message and an exit code."""
        from varkit.cli.output import echo, survive_any_output

        survive_any_output()
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            with warnings.catch_warnings():
                warnings.showwarning = print_warning
                return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click handles them
        except click.NoSuchOption as error:
            raise _escaped(_about_dashes(error, ctx.meta[ARGUMENTS])) from None
        except click.ClickException as error:
            raise _escaped(error) from None
        except KeyboardInterrupt:
            echo("interrupted", err=True)
            ctx.exit(130)
        except SystemExit:
            raise  # a verb of a plugin may exit with a code
        except BaseException as error:  # a plugin may raise anything
            if ctx.params["debug"]:
                echo(traceback.format_exc(), err=True, nl=False)
            print_error(error)
            ctx.exit(error.exit_code if isinstance(error, VarkitError) else 1)


def _about_dashes(error: click.NoSuchOption, arguments: Sequence[str]) -> click.UsageError:
    """Add the hint that a name which begins with a dash stands after ``--``."""
    if error.possibilities:
        return error
    at = next((i for i, text in enumerate(arguments) if text.startswith(error.option_name)), 0)
    before, after = list(arguments[:at]), list(arguments[at:])
    command = shlex.join(["varkit", *before, "--", *after])
    hint = f"If it is a name, put -- before it: {command}"
    if any(text.startswith("-") for text in after[1:]):
        hint = "To give a name that begins with -, put options first, then --, then names."
    return click.UsageError(f"{error.format_message().rstrip('.')}. {hint}", error.ctx)


def installed_plugins(ctx: click.Context, patience: float = PATIENCE) -> Plugins:
    """Load the installed plugins, once per call of the program; see :func:`load_plugins`."""
    from varkit.plugins.loading import load_plugins

    key = f"{__name__}.plugins"
    if key not in ctx.meta:
        ctx.meta[key] = load_plugins(patience=patience)
    loaded: Plugins = ctx.meta[key]
    return loaded


def _added(ctx: click.Context) -> dict[str, str]:
    """Return the verbs of plugins and their summaries."""
    commands = installed_plugins(ctx, HELP_PATIENCE).commands
    added = [command for command in commands if command.name.split()[0] not in VERBS]
    summaries = {command.name: command.summary for command in added}
    return dict(sorted(summaries.items()))


def print_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Write a warning to stderr, without the line of code that gave it."""
    _print_labelled("warning", "yellow", str(message))


def print_error(error: BaseException) -> None:
    """Print an error on stderr: what failed, the causes, what to do."""
    lines = [error.what] if isinstance(error, VarkitError) else [named(error)]
    if isinstance(error, RecipeError) and len(error.problems) > 1:
        shown = error.problems[:MOST_PROBLEMS]
        lines = [f"{len(error.problems)} problems", *(f"  {problem}" for problem in shown)]
        if len(shown) < len(error.problems):
            lines.append(f"  and {len(error.problems) - len(shown)} more")
    lines += [f"  cause: {named(cause)}" for cause in _causes(error)]
    _print_labelled("error", "red", "\n".join(lines))
    hint = error.hint if isinstance(error, VarkitError) else "varkit --debug ... shows where"
    if hint:
        _print_labelled("hint", "cyan", hint)


def _print_labelled(label: str, colour: str, text: str) -> None:
    from varkit.cli.output import echo

    echo(label, fg=colour, bold=True, err=True, nl=False)
    echo(f": {text}", err=True)


def _escaped(error: click.ClickException) -> click.ClickException:
    """Return click's own error, which click prints itself, with escapes for what was typed."""
    from varkit.cli.output import printable

    message = printable(error.format_message(), sys.stderr)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error  # its message is the help
    if isinstance(error, click.UsageError):
        return click.UsageError(message, error.ctx)
    return click.ClickException(message)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the causes of an error, except those that its message already states."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and all(cause is not e for e in chain):
        chain.append(cause)  # stops at a circle, as "raise error from error" makes
    known = _reason(error)
    causes = []
    for cause in chain[1:]:
        reason = _reason(cause)
        if not reason or reason not in known:
            causes.append(cause)
        known += f"\n{reason}"
    return causes


def _reason(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or named(error).partition(": ")[2]


EXAMPLES = """\b
Examples:
  varkit ls
  varkit run alan_ucf
  varkit cp alan_ucf mine.yaml
"""


@click.group(cls=Verbs, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="varkit")
def main(debug: bool) -> None:
    """Find the long video, and the moment in it, that a sentence or a sound describes."""
