"""The command line: parse, call one public function, print, exit. Results go to stdout, everything else to stderr.

Command modules import nothing heavy at their top: `nightcap --help` loads them all and must stay under 0.2 s.
"""

import atexit
import gc
import io
import os
import sys
from contextlib import suppress

import click

from pipeline.cli.common.terminal import open_log, show_line
from pipeline.cli.compact import compact
from pipeline.cli.doctor import doctor
from pipeline.cli.draw import draw
from pipeline.cli.emulate import emulate
from pipeline.cli.estimate import estimate
from pipeline.cli.models import models
from pipeline.cli.request import request
from pipeline.cli.retry import retry
from pipeline.cli.run import run
from pipeline.cli.status import status
from pipeline.cli.tokens import tokens
from pipeline.cli.video import video
from pipeline.errors import NightcapError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="nightcap", message="%(prog)s %(version)s")
def nightcap() -> None:
    """Caption image collections in bulk: exact tokens, known costs, nothing lost, nothing paid twice."""


for command in (run, estimate, status, retry, compact, models, tokens, request, draw, doctor, emulate, video):
    nightcap.add_command(command)


def main() -> None:
    """Entry point of the process: the command, and then its end without the interpreter's own.

    That one may meet a thread that is not Python's (pyreqwest's) just as it wakes a task, and Python before 3.14 aborts
    then: 23 of 300 exits right after a request, their exit codes lost. What others registered for the end is done.
    """
    status = 1  # also behind a traceback

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(status)

    atexit.register(leave)  # the first that is registered is the last that is called
    try:
        call()
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    else:
        status = 0


def call() -> None:
    """The command that `sys.argv` names; the exit code comes from it or from its error's class."""
    gc.set_threshold(10_000)  # by default it looks for garbage after 700 objects: a tenth of the time a start takes
    # Else numpy starts a thread for each core, for algebra that nobody does here: 45 ms of CPU time on two cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a bar or a name shows `?` instead
    open_log()
    try:
        nightcap(standalone_mode=False)
    except NightcapError as error:
        show_line(f"nightcap: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        command = getattr(error, "ctx", None)
        help_of = f" `{command.command_path} --help` shows how." if command else ""
        show_line(f"nightcap: {error.format_message()}{help_of}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
