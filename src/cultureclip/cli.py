"""``kedro run``, Kedro's own with errors in three lines instead of a traceback; ``kedro review``; ``kedro store``."""

import getpass
import logging
import os
import re
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from cultureclip.errors import CultureClipError

_PYDANTIC_PAGE = "For further information visit"
_PARAMETER = re.compile(r"Failed to instantiate \w+ for parameter '(\w+)'")
_CAUSE = re.compile(r"  (?P<cause>.+) \[type=(?P<type>\w+), input_value=(?P<value>.*), input_type=\w+\]$")


@click.group(name="cultureclip")
def cli() -> None:
    """Command line of the project."""


def _run(**options: Any) -> Any:
    """Run, with log lines above the progress bars.

    Errors that this package or Kedro raises end the command with exit code 1 and a message. Any other error is a bug
    and keeps its traceback.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of libraries; ours are shown, see engine/progress.py
    from tqdm.contrib.logging import logging_redirect_tqdm

    run_kedro: Any = kedro_run.callback
    options["runner"] = options.get("runner") or "cultureclip.runner.ReusingRunner"
    for handler in logging.getLogger().handlers:
        handler.addFilter(_at_least(handler.level))  # the redirection keeps filters and forgets levels
    try:
        with logging_redirect_tqdm():
            return _explained(partial(_interruptible, run_kedro, options))
    except KeyboardInterrupt as signal:
        click.echo("\n".join(["Stopped. The same command goes on from what is stored.", *_notes(signal)]), err=True)
        raise SystemExit(130) from signal


def _review(env: str | None, reviewer: str, params: dict[str, Any]) -> None:
    """Serve a page on this machine alone, on which a person accepts and rejects twins."""
    from cultureclip.review.serve import serve

    _explained(partial(serve, Path.cwd(), env, reviewer, params))


def _store(action: str, env: str | None, part_mb: int, min_age_days: float, delete: bool) -> None:
    """Check and tidy the image store: verify, repair, compact or collect (docs/store.md)."""
    from cultureclip.store_command import keep_up

    _explained(lambda: click.echo(keep_up(Path.cwd(), env, action, part_mb << 20, min_age_days, delete=delete)))


def _explained(action: Callable[[], Any]) -> Any:
    """Do something; an error that is raised on purpose ends the command with a message."""
    try:
        return action()
    except Exception as error:
        lines = explain(error)
        if lines is None:
            raise
        click.echo("\n".join(lines), err=True)
        raise SystemExit(1) from error


def _interruptible(run_kedro: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Run, and close manifest and log when the user stops the run: Kedro calls no hook then."""
    from cultureclip.settings import HOOKS

    try:
        return run_kedro(**options)
    except KeyboardInterrupt as signal:
        for hooks in HOOKS:
            hooks.interrupt(signal)
        raise


def _at_least(level: int) -> Callable[[logging.LogRecord], bool]:
    return lambda record: record.levelno >= level


def explain(error: BaseException) -> list[str] | None:
    """Describe an error in lines: item and cause, remedy, and the notes that it carries (where the log is).

    Args:
        error: As raised. Kedro wraps an error of a dataset in its own, so that ours is looked for among the causes.

    Returns:
        The lines; None for an error that neither this package nor Kedro raises on purpose.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, CultureClipError):
        found = found.__cause__
    if isinstance(found, CultureClipError):
        lines = [f"Error: {found.item}: {found.cause}", f"  fix: {found.remedy}"]
    elif _is_raised_by_kedro(error):
        wrong = _explain_parameters(str(error))
        if wrong:
            return wrong
        first, *others = str(error).strip().split("\n")
        lines = [f"Error: {first}", *(f"  {line.strip()}" for line in others if _PYDANTIC_PAGE not in line)]
    else:
        return None
    return lines + _notes(error)


def _notes(error: BaseException) -> list[str]:
    return [f"  {note}" for note in getattr(error, "__notes__", ())]


def _explain_parameters(text: str) -> list[str]:
    """Write Kedro's report of wrong parameters in lines of item, cause and fix; empty for any other text."""
    from cultureclip.pipelines.parameters import PARAMETERS

    lines, stage, place = [], "", ""
    for line in text.split("\n"):
        if named := _PARAMETER.search(line):
            stage = named[1]
        elif found := _CAUSE.match(line):
            fields = PARAMETERS[stage].model_fields if stage in PARAMETERS else {}
            near = get_close_matches(place, fields, n=1) if found["type"] == "extra_forbidden" else []
            fix = f"Did you mean {stage}.{near[0]}?" if near else "Correct it in conf/ or in --params"
            lines += [f"Error: {stage}.{place}: {found['cause']} (it is {found['value']})", f"  fix: {fix}"]
        else:
            place = line.strip()
    return lines


def _is_raised_by_kedro(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and "kedro" in Path(frames[-1].filename).parts


run = click.Command("run", callback=_run, params=kedro_run.params, help=kedro_run.help)
cli.add_command(run)
_OF_REVIEW: list[click.Parameter] = [
    click.Option(
        ["--reviewer"], default=getpass.getuser, help="Name under which decisions are kept; yours by default."
    ),
    *(option for option in kedro_run.params if option.name in {"env", "params"}),
]
cli.add_command(click.Command("review", callback=_review, params=_OF_REVIEW, help=_review.__doc__))

_OF_STORE: list[click.Parameter] = [
    click.Argument(["action"], type=click.Choice(["verify", "repair", "compact", "collect"])),
    click.Option(["--part-mb"], type=click.IntRange(1, 2048), default=128, show_default=True, help="compact: MiB."),
    click.Option(
        ["--min-age-days"],
        type=click.FloatRange(0),
        default=1.0,
        show_default=True,
        help="collect: younger stay.",
    ),
    click.Option(["--delete"], is_flag=True, help="collect: remove the images; otherwise they are only counted."),
    *(option for option in kedro_run.params if option.name == "env"),
]
cli.add_command(click.Command("store", callback=_store, params=_OF_STORE, help=_store.__doc__))
