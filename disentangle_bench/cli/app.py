"""The command line: thin commands over the package. A user's mistake is one sentence and exit status 2."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from disentangle_bench import __version__
from disentangle_bench.cli.compare import compare
from disentangle_bench.cli.curves import curves
from disentangle_bench.cli.datasets import datasets_app
from disentangle_bench.cli.export import export
from disentangle_bench.cli.housekeeping import clean, merge
from disentangle_bench.cli.leaderboard import leaderboard
from disentangle_bench.cli.loudness import Quiet, Verbose, with_loudness
from disentangle_bench.cli.presets import presets
from disentangle_bench.cli.registry import check, metrics, models
from disentangle_bench.cli.report import report
from disentangle_bench.cli.run import run
from disentangle_bench.cli.score import score
from disentangle_bench.cli.stopping import stoppable
from disentangle_bench.cli.studies import status
from disentangle_bench.cli.trials import traverse
from disentangle_bench.cli.tune import tune
from disentangle_bench.cli.why import why
from disentangle_bench.display import LOUDNESS, console
from disentangle_bench.errors import UserError
from disentangle_bench.plugins import fault

STUDIES, TRIALS, REGISTERED = "Studies", "Single trials and codes", "What there is"  # groups of --help
EXAMPLES = {
    run: "run quickstart   ·   run --models ib-gan,beta-vae --dataset dsprites-circular --seeds 0-4",
    tune: "tune beta-vae --dataset dsprites-circular --samples 6 --set steps=500",
    status: "status   ·   status quickstart",
    leaderboard: "leaderboard quickstart   ·   leaderboard quickstart --format latex --metric factor-vae/robust,mig",
    compare: "compare quickstart --metric factor-vae --models ib-gan,gan   ·   … --out profiles.pdf",
    curves: "curves quickstart   ·   curves quickstart --metric information,kl --out information.pdf",
    merge: "merge machine-b/results",
    clean: "clean   ·   clean quickstart --checkpoints --codes --dry-run",
    report: "report quickstart",
    score: "score 3f9a --metric mig   ·   score --codes my_codes.npz   ·   score --encoder my_file.py:encode --dataset "
    "dsprites",
    traverse: "traverse 3f9a --out traversal.png",
    export: "export 3f9a --to my_model",
    why: "why 3f9a",
    check: "check my_model.py",
    models: "models",
    metrics: "metrics",
    presets: "presets   ·   presets quickstart > my_study.yaml",
}
GROUPS = {
    STUDIES: (run, tune, status, leaderboard, compare, curves, report, merge, clean),
    TRIALS: (score, traverse, export, why),
    REGISTERED: (presets, models, metrics, check),
}

app = typer.Typer(
    help="Train GANs and VAEs over many seeds, score their disentanglement, publish leaderboards.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def say_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        console().print(f"disentangle-bench {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=say_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """What stands before any command."""
    LOUDNESS["level"] = int(verbose) - int(quiet)


for group, commands in GROUPS.items():  # as --help lists them
    for command in commands:
        example = f"Example: disentangle-bench {EXAMPLES[command]}"
        app.command(rich_help_panel=group, epilog=example)(with_loudness(command))
app.add_typer(datasets_app, name="datasets", rich_help_panel=REGISTERED)


def main() -> None:
    """The entry point: turns a `UserError`, or a fault in a plugin's own code, into its sentence."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± still gets its table
    try:
        with stoppable():
            app(prog_name="disentangle-bench")
    except UserError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    except Exception as error:
        told = fault(error)
        if told is None:
            raise  # a fault of ours, with its traceback
        sys.stderr.write(f"Error: {told}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
