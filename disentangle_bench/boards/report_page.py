"""The page of a report: a study's contents as one HTML file that asks for no other and runs nobody's text."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from disentangle_bench import __version__
from disentangle_bench.boards.report import Contents, trials_table
from disentangle_bench.boards.report_pictures import curves, data_uri, galleries, plots
from disentangle_bench.boards.report_tables import (
    boards,
    protocols,
    seed_tables,
    shown_by_ranks,
    versions,
    with_notes_once,
)
from disentangle_bench.boards.report_words import counts, failures, ground, settings
from disentangle_bench.boards.tables import csv_text
from disentangle_bench.files import write_file

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Download:
    """A file within the page."""

    name: str
    uri: str
    what: str


def write_report(contents: Contents, path: Path) -> None:
    """Write a study's page: one HTML file; `UserError` where it can't be written."""
    write_file(path, page(contents))


def page(contents: Contents) -> str:
    """The page, as HTML.

    Names come from records, which anyone may have written: Jinja escapes each. Beside that, the page's own policy
    (CSP) lets a browser run this one script and style, known by their hashes, and fetch nothing at all.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style, script = ((TEMPLATES / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    found, said_once = with_notes_once(list(boards(contents.table)))
    return environment.get_template("report.html.j2").render(
        study=contents.study,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=__version__,
        policy=f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(style),
        script=Markup(script),
        counts=counts(contents),
        ground=ground(contents),
        protocols=protocols(contents.study),
        ranks=shown_by_ranks(found),
        notes=said_once,
        boards=list(zip(found, plots(found, contents.seeds), strict=True)),
        seeds=list(seed_tables(contents.study.trials, contents.states, contents.seeds)),
        curves=curves(contents),
        galleries=galleries(contents),
        failures=failures(contents),
        settings=settings(contents),
        versions=versions(contents.records),
        downloads=downloads(contents),
        missing=contents.missing,
    )


def digest(text: str) -> str:
    """How a content security policy names a script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def downloads(contents: Contents) -> list[Download]:
    """The tables as files within the page, every number in full."""
    tables = {
        "leaderboard": (contents.table, "the leaderboard, all columns"),
        "scores": (contents.seeds, "each seed's own scores"),
        "trials": (trials_table(contents), "each trial: its state, settings, times, versions"),
    }
    name = contents.study.name
    found = [
        Download(f"{name}-{kind}.csv", data_uri(csv_text(table, None).encode(), "text/csv;charset=utf-8"), what)
        for kind, (table, what) in tables.items()
    ]
    text = contents.study_yaml.encode()
    return [*found, Download(f"{name}-study.yaml", data_uri(text, "application/yaml"), "the study, to run again")]
