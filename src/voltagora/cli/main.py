"""The command `voltagora`: its subcommands, and what a user sees when one of them fails.

Exit codes: 0 done, 2 bad input, 1 anything else. Only what typer needs is imported here;
each command imports the rooms it works with when it runs, so that help is instant.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from voltagora import __version__
from voltagora.cli.agent import agent_command
from voltagora.cli.collect import collect_command
from voltagora.cli.conform import conform_command
from voltagora.cli.contract import protocols_command
from voltagora.cli.decisions import strategies_command, try_command
from voltagora.cli.hub import hub
from voltagora.cli.live import live_command, replay_command
from voltagora.cli.reports import compare_command, report_command
from voltagora.cli.rights import rights_command
from voltagora.cli.runs import run_command
from voltagora.cli.scenarios import scenarios, validate_command
from voltagora.cli.service_folder import service_folder_command
from voltagora.domain.errors import InputError, InputErrors, VoltAgoraError

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2

TRACEBACK_SWITCH: Final = "VOLTAGORA_TRACEBACK"
"""Environment variable: any value shows the traceback of an error that is a bug of ours."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        app(prog_name="voltagora")
    except KeyboardInterrupt:
        # Before or after a command; within one, the group has answered already.
        _leave("stopped by the user", FAILED)


class _Guarded(TyperGroup):
    """A group whose commands fail with one sentence and an exit code, never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            outcome = super().invoke(ctx)
            # A reader that has seen enough is noticed here, not in the interpreter's last breath.
            sys.stdout.flush()
            return outcome
        except (InputError, InputErrors) as error:
            _leave(str(error), BAD_INPUT)
        except VoltAgoraError as error:
            _leave(str(error), FAILED)
        except KeyboardInterrupt:
            _leave("stopped by the user", FAILED)
        except OSError as error:
            if error.errno == errno.EPIPE:
                # The reader of a pipe has seen enough (`voltagora protocols | head`).
                _forget_output()
                raise typer.Exit(FAILED) from None
            _leave(str(error), FAILED)
        except MemoryError:
            _leave("out of memory: try fewer vehicles or stations", FAILED)
        except Exception as error:
            # Usage errors and exits are typer's own, which prints them better than we could.
            if type(error).__module__.split(".")[0] in {"typer", "click"} or TRACEBACK_SWITCH in os.environ:
                raise
            _leave(
                f"a bug in voltagora, please report it: {type(error).__name__}: {error} "
                f"({TRACEBACK_SWITCH}=1 shows where)",
                FAILED,
            )


def _leave(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(code)


def _forget_output() -> None:
    """Point standard output nowhere, so that the interpreter's last flush does not fail as well."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


app = typer.Typer(
    cls=_Guarded,
    help="An open multi-agent market for vehicle-to-grid and grid-to-vehicle energy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"voltagora {__version__}")
        raise typer.Exit(DONE)


@app.callback()
def _voltagora(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    pass


app.command("run")(run_command)
app.add_typer(scenarios, name="scenarios")
app.command("validate")(validate_command)
app.command("strategies")(strategies_command)
app.command("try")(try_command)
app.command("report")(report_command)
app.command("compare")(compare_command)
app.command("collect")(collect_command)
app.command("protocols")(protocols_command)
app.command("conform")(conform_command)
app.command("live")(live_command)
app.command("replay")(replay_command)
app.command("agent")(agent_command)
app.command("service-folder")(service_folder_command)
app.command("rights")(rights_command)
app.add_typer(hub, name="hub")
