"""`disentangle-bench check`, `models` and `metrics`: what there is, and whether it keeps its contract."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from disentangle_bench import datasets, registry
from disentangle_bench.cli.cards import metric_card, model_card, ordered, scored, show_card
from disentangle_bench.cli.datasets import is_there
from disentangle_bench.cli.options import Data, Plugins, listing, load_plugins
from disentangle_bench.display import Bar, console, fitted
from disentangle_bench.errors import UserError


def check(
    paths: Annotated[list[str], typer.Argument(metavar="FILE.py|MODULE", help="Your models, datasets, metrics.")] = [],  # noqa: B006
    everything: Annotated[bool, typer.Option("--all", help="Check all that is built in or installed, too.")] = False,
    data_root: Data = None,
) -> None:
    """Check that models, datasets and metrics keep their contract; say in words what is missing and how to mend it.

    --all looks at the built-in datasets that are prepared under the data root.
    Exit status: 0 all checks passed, 1 one failed, 2 a file can't be loaded.
    """
    from disentangle_bench import conformance

    if not paths and not everything:
        raise UserError("give a FILE.py or a module to check, or --all.")
    before = {kind: set(registry.names(kind)) for kind in registry.KINDS}
    for path in paths:
        registry.load_plugin(path)
    subjects = [
        (kind, name)
        for kind in registry.KINDS
        for name in registry.names(kind)
        if everything or name not in before[kind]
    ]
    root = datasets.data_root(data_root)
    absent = [
        name for kind, name in subjects if kind == "dataset" and name in before[kind] and not is_there(name, root)
    ]
    subjects = [(kind, name) for kind, name in subjects if kind != "dataset" or name not in absent]
    findings: list[conformance.Finding] = []
    with Bar("checking") as progress:
        for done, (kind, name) in enumerate(subjects, start=1):
            findings += conformance.check(kind, registry.get(kind, name), data_root)
            progress(done, len(subjects))
    table = Table()
    for column in ("", "name", "passed", "failed", "skipped"):
        table.add_column(column, justify="left" if column in ("", "name") else "right")
    for kind, name in subjects:
        states = [each.status for each in findings if (each.kind, each.name) == (kind, name)]
        table.add_row(kind, name, *(str(states.count(s)) for s in ("passed", "failed", "skipped")))
    console().print(table)
    for each, titles in conformance.grouped(findings).items():
        new = each.name not in before[each.kind]
        if each.status != "passed" or (new and each.message):
            heads = "\n".join(f"{each.status}  {each.kind} {each.name}: {title}" for title in titles)
            console().print(f"{heads}\n        {each.message}", markup=False)
    if absent:
        console().print(f"not prepared under {root}, so not looked at: {', '.join(absent)}", markup=False)
    if any(each.status == "failed" for each in findings):
        raise typer.Exit(1)


def models(
    name: Annotated[
        str | None, typer.Argument(help="Print what is known of this model: losses, players, every setting.")
    ] = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """List the models: paper, what their codes come from, their players' parameters, named configurations."""
    if name is not None:
        load_plugins(plugin)
        show_card(model_card(name))
        return
    table = listing(plugin, "model", "paper", "codes from", "players and parameters", "configurations")
    table.columns[0].no_wrap = table.columns[3].no_wrap = True
    from disentangle_bench.models.sizes import player_sizes

    for name in registry.names("model"):
        cls = registry.get("model", name)
        sizes = "\n".join(f"{player} {count:,}" for player, count in player_sizes(cls).items())
        first, *others = cls.configurations
        table.add_row(name, cls.paper, cls.code_source, sizes, ", ".join([f"[b]{first}[/b]", *others]))
    console().print(fitted(table, "paper", "codes from"))
    console().print(
        "Parameters are those of the first configuration, on its dataset's images.\n"
        "disentangle-bench models NAME  prints a model's losses, players and settings",
        markup=False,
    )


def metrics(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Print the card of this metric or comparison.")
    ] = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """List the metrics, of codes, of images, or of a study's seeds: range, direction, protocols, the default first."""
    if name is not None:
        load_plugins(plugin)
        show_card(metric_card(name))
        return
    table = listing(plugin, "metric", "title", "of", "range", "better", "protocols")
    for column in (0, 2, 3, 4):
        table.columns[column].no_wrap = True
    kinds: tuple[registry.Kind, ...] = ("metric", "comparison")
    for kind in kinds:
        for each in registry.names(kind):
            item = registry.get(kind, each)
            span = "{:g} to {:g}".format(*getattr(item, "range", (0, 1)))
            better = "higher" if getattr(item, "higher_is_better", True) else "lower"
            table.add_row(each, item.title, scored(item), span, better, ", ".join(ordered(item)))
    console().print(fitted(table, "title", "range"))
    console().print(
        "The first protocol is meant where none is named; METRIC/all is every one.\n"
        "Of seeds, by one another: in a study, as  run ... --set comparisons.udr=lasso\n"
        "disentangle-bench metrics NAME  prints a metric's card",
        markup=False,
    )
