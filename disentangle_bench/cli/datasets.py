"""`disentangle-bench datasets`: list, prepare, verify, show."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from disentangle_bench import datasets, registry
from disentangle_bench.cli.cards import dataset_card, show_card
from disentangle_bench.cli.loudness import with_loudness
from disentangle_bench.cli.options import Data, OldOutput, Plugins, listing, load_plugins
from disentangle_bench.contracts import Dataset
from disentangle_bench.display import Bar, console, duration, fitted, size
from disentangle_bench.errors import UserError

DRAWN = ("drawn", "regenerated")  # sources that are no files


class ByName(TyperGroup):
    """A group in which a word that is none of its commands is a dataset's name, and asks for its card."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As for any group; NAME stands for `card NAME`."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            args = ["card", *args]
        return super().resolve_command(ctx, args)


datasets_app = typer.Typer(
    cls=ByName,
    subcommand_metavar="[NAME | COMMAND [ARGS]...]",
    help="Datasets: what is prepared and what is missing; prepare, verify and show them. `datasets NAME` prints the "
    "card of one: source, licence, factors, traps.",
)


@datasets_app.callback(invoke_without_command=True)
def list_datasets(context: typer.Context, data_root: Data = None, plugin: Plugins = []) -> None:  # noqa: B006
    """List the datasets: what is prepared and what is missing. With a NAME: print the card of that dataset."""
    load_plugins(plugin)
    if context.invoked_subcommand is not None:
        return
    root = datasets.data_root(data_root)
    table = listing([], "dataset", "what it holds", "images", "factors", "download", "disk", "prepared")
    for column in table.columns:
        column.no_wrap = column.header not in ("what it holds", "factors")
    damaged = []
    for name in datasets.names(root):
        cls = registry.get("dataset", name)
        shape = "×".join(map(str, getattr(cls, "image_shape", ())))
        factors = ", ".join(f"{n} {s}" for n, s in zip(cls.factor_names, cls.factor_sizes, strict=True))
        if len(cls.factor_names) > 10:
            factors = f"{len(cls.factor_names)} attributes"
        try:
            state = "yes" if cls.prepared(root) else "no"
        except UserError:
            state = "damaged"
            damaged.append(name)
        disk = cls.disk()
        needs = cls.download(), "" if disk is None else size(disk)
        table.add_row(name, cls.description, shape, factors or "none", *needs, state)
    console().print(fitted(table, "factors", "images", "what it holds", "disk", "download"))
    console().print("\n".join(advice(root, damaged)), markup=False)


def advice(root: Path, damaged: list[str]) -> Iterator[str]:
    """What to do next, below the list."""
    yield "download: at most (≤), more than (>), or files that you bring (yours); disk: of the prepared file"
    yield f"data root  {root}"
    yield "prepare one with  disentangle-bench datasets prepare NAME"
    yield "print its card with  disentangle-bench datasets NAME"
    yield from (f"what is damaged is told by  disentangle-bench datasets verify {name}" for name in damaged)


Name = Annotated[str, typer.Argument(metavar="NAME", help="The dataset's name.")]


@datasets_app.command(hidden=True)
def card(name: Name, plugin: Plugins = []) -> None:  # noqa: B006
    """Print a dataset's card: source, licence, factors, traps. Written `datasets NAME`."""
    load_plugins(plugin)
    show_card(dataset_card(name, commands=("prepare", "verify", "show")))


@datasets_app.command(epilog="Example: disentangle-bench datasets prepare shapes3d --source ~/3dshapes.h5")
@with_loudness
def prepare(
    name: Name,
    source: Annotated[
        Path | None, typer.Option(help="Your own file, archive or folder to read from, instead of a download.")
    ] = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Prepare a dataset under the data root; a second call does nothing."""
    import time

    load_plugins(plugin)
    cls = registry.get("dataset", name)
    root = datasets.data_root(data_root)
    before, started = cls.prepared(root), time.perf_counter()
    if before is not None:
        again = f" Delete it to read {source} instead." if source else ""
        console().print(f"{name} is there already: {before}{again}", markup=False)
        return
    if source and "source" not in inspect.signature(cls.prepare).parameters:
        raise UserError(f"--source {source}: {name} is made without one; leave it out.")
    with Bar(f"preparing {name}") as progress:
        path = cls.prepare(root, progress, **({"source": source.expanduser()} if source else {}))
    console().print(f"{name} prepared in {duration(time.perf_counter() - started)}: {path}", markup=False)
    dataset = datasets.load(name, root, prepare=False)
    console().print(origin(dataset), markup=False, soft_wrap=True)
    console().print(summary(dataset), markup=False)


def origin(dataset: Dataset) -> str:
    """What a dataset was prepared from, in a line; "" where it stores nothing."""
    files = ", ".join(getattr(dataset, "read_from", ()))  # a file that an older version prepared names no paths
    source = files or getattr(dataset, "source", "")
    return source and (f"read from {source}" if source not in DRAWN else f"{source}, read from no file")


def summary(dataset: Dataset) -> str:
    """What a dataset turned out to hold, in a line."""
    factors = ", ".join(f"{n} {s}" for n, s in zip(dataset.factor_names, dataset.factor_sizes, strict=True))
    if len(dataset.factor_names) > 10:
        factors = f"{len(dataset.factor_names)} attributes"
    kind = "a full grid of" if dataset.full_grid else "factors"
    shape = "×".join(map(str, dataset.image_shape))
    classes = f"; {dataset.classes()} classes" if dataset.classes() else ""
    return f"{len(dataset):,} images of {shape}; {f'{kind} {factors}' if factors else 'no factors'}{classes}"


@datasets_app.command(epilog="Example: disentangle-bench datasets verify dsprites")
@with_loudness
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Datasets (default: all).")] = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Read prepared datasets again and compare them with their checksums. Exit status 2: one is damaged."""
    load_plugins(plugin)
    root = datasets.data_root(data_root)
    chosen = names or [name for name in datasets.names(root) if has_content(name) and is_there(name, root)]
    if not chosen:
        raise UserError(f"nothing is prepared under {root}; make a dataset with `disentangle-bench datasets prepare`.")
    damaged = []
    for name in chosen:
        try:
            dataset = datasets.load(name, root, prepare=False)
            with Bar(f"verifying {name}") as progress:
                dataset.verify(progress)
        except UserError as error:  # the others are looked at, too
            damaged.append(name)
            console(stderr=True).print(f"Error: {error}", markup=False)
        else:
            made = f"; {told}" if (told := origin(dataset)) else ""
            console().print(
                f"{name}: as it was prepared, sha256 {dataset.checksum}{made}", markup=False, soft_wrap=True
            )
    if damaged:
        raise typer.Exit(2)


def has_content(name: str) -> bool:
    """Whether a dataset stores anything that can be verified."""
    return registry.get("dataset", name).verify is not Dataset.verify


def is_there(name: str, root: Path) -> bool:
    """Whether a dataset is prepared, be it damaged."""
    try:
        return registry.get("dataset", name).prepared(root) is not None
    except UserError:
        return True


@datasets_app.command(epilog="Example: disentangle-bench datasets show dsprites --out dsprites.png")
@with_loudness
def show(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="The picture to write (default: NAME.png).")] = None,
    output: OldOutput = None,
    data_root: Data = None,
    plugin: Plugins = [],  # noqa: B006
) -> None:
    """Write a picture of a dataset: samples, and one traversal a factor."""
    from disentangle_bench.pictures.dataset import write_dataset_picture

    load_plugins(plugin)
    dataset = datasets.load(name, data_root)
    picture = out or output or Path(f"{name}.png")
    write_dataset_picture(dataset, picture)
    console().print(f"picture  {picture}", markup=False)
