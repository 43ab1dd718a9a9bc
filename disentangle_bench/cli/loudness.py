"""--quiet and --verbose, which every command takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from disentangle_bench.display import LOUDNESS

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes: results and mistakes alone.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Everything written out.")]


def with_loudness(command: Callable[..., None]) -> Callable[..., None]:
    """The command with --quiet and --verbose, which may so stand before its name or after it."""

    @functools.wraps(command)
    def loud(quiet: bool, verbose: bool, **given: Any) -> None:
        if quiet or verbose:
            LOUDNESS["level"] = int(verbose) - int(quiet)
        command(**given)

    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Quiet), ("verbose", Verbose))
    ]
    given = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    loud.__signature__ = signature.replace(parameters=[*given, *added])  # type: ignore[attr-defined]  # typer reads it
    loud.__annotations__ = {each.name: each.annotation for each in [*given, *added]}
    return loud
