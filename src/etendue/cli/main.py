"""The command ``etendue``: one group, every failure one line."""

import errno
import logging
from typing import Any

import click

from etendue import __version__
from etendue.cli.alerts import alerts
from etendue.cli.archive import archive
from etendue.cli.calib import calib, certify
from etendue.cli.camera import camera
from etendue.cli.campaign import campaign
from etendue.cli.ingest import ingest, quarantine, sequences
from etendue.cli.inject import inject
from etendue.cli.lightcurve import lightcurve
from etendue.cli.locate import locate
from etendue.cli.overrides import overrides
from etendue.cli.pipeline import pipeline
from etendue.cli.process import process
from etendue.cli.provenance import provenance, rerun
from etendue.cli.refcat import refcat
from etendue.cli.repo import repo_group
from etendue.cli.report import report
from etendue.cli.repository import hash_command, init, skymap
from etendue.cli.router import router
from etendue.cli.run import publish, run
from etendue.cli.solve import solve
from etendue.cli.submit import submit
from etendue.cli.survey import demo, quickstart, simulate
from etendue.cli.truth import truth
from etendue.cli.warm import warm
from etendue.cli.watch import watch
from etendue.disk import disk_trouble
from etendue.errors import EtendueError

_REMEDIES = {
    "EACCES": "choose a place that you may use",
    "EPERM": "choose a place that you may use",
    "EROFS": "choose a place that can be written",
    "ENOSPC": "free space",
    "EDQUOT": "free space",
    "ENOTDIR": "a file stands where a folder must be",
    "EISDIR": "give a file, not a folder",
    "ENOENT": "check the path",
}  # of errors of the operating system, by name


_INTERRUPTED = 130  # 128 + SIGINT, as shells say it


class _Etendue(click.Group):
    """Keeps the order of the commands and turns errors into one line: exit status 1, or 2 for a wrong call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of use, not of the alphabet."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except KeyboardInterrupt as error:
            click.echo(f"etendue: interrupted{': ' * bool(str(error))}{error}", err=True)
            ctx.exit(_INTERRUPTED)
        except click.UsageError as error:
            hint = f"; see '{error.ctx.command_path} --help'" if error.ctx is not None else ""
            message = " ".join(error.format_message().split()).rstrip(".")
            click.echo(f"etendue: error: {message}{hint}", err=True)
            ctx.exit(2)
        except Exception as error:
            if not _is_outside(error):
                raise
            click.echo(f"etendue: error: {_one_line(error)}", err=True)
            ctx.exit(1)


def _is_outside(error: Exception) -> bool:
    """Whether the cause is the input, the disk or the database; anything else is a bug and keeps its traceback."""
    if isinstance(error, BrokenPipeError):  # the reader of a pipe went away: click's own business
        return False
    if disk_trouble(error):
        return True
    return isinstance(error, EtendueError | OSError) or type(error).__module__.startswith(("sqlalchemy", "sqlite3"))


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        remedy = _REMEDIES.get(errno.errorcode.get(error.errno or 0, ""), "check the path")
        return f"{error.filename}: {error.strerror}; {remedy}" if error.filename else f"{error.strerror}; {remedy}"
    if not isinstance(error, EtendueError) and (trouble := disk_trouble(error)):
        return f"{trouble}; make space or the disk writable, then do it again"
    if type(error).__module__.startswith(("sqlalchemy", "sqlite3")):
        from etendue.middleware.database import database_trouble

        error = database_trouble(error) or error
    return " ".join(str(error).split())


def _log_to_stderr() -> None:
    """Show warnings of etendue, one line each; Rubin's own many lines stay in the logs of quanta."""
    root = logging.getLogger()
    if root.handlers:  # whoever calls us decides
        return
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    handler.addFilter(logging.Filter("etendue"))
    handler.setFormatter(logging.Formatter("etendue: %(levelname)s: %(message)s"))
    root.addHandler(handler)


@click.group(
    "etendue", cls=_Etendue, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="etendue")
def main() -> None:
    """Turn raw exposures of a survey telescope into images, catalogs, differences, movers and alerts."""
    _log_to_stderr()


for _command in (
    quickstart, process, watch, demo, init, camera, ingest, quarantine, sequences, overrides, refcat, solve, locate,
    skymap, run, pipeline,
    calib, inject, publish, router, report, submit, lightcurve, archive, alerts, repo_group, hash_command, provenance,
    rerun, campaign, simulate, truth, warm,
):  # fmt: skip
    main.add_command(_command)
_EARLIER = click.Command("certify", callback=certify.callback, params=certify.params, help=certify.help, hidden=True)
main.add_command(_EARLIER)  # the name that 'calib certify' once had, for scripts
