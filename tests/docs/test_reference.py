"""The reference is made from the code: what is registered or public stands in it, and says what it is."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from reference_pages import made_pages, python_api, reference_nav
from reference_pages.commands import PROGRAM, walk
from reference_pages.docstrings import as_markdown
from reference_pages.links import for_the_site
from reference_pages.markdown import cell, number, table, with_lists
from typer.main import get_command

import disentangle_bench
from disentangle_bench import datasets, metrics, registry
from disentangle_bench.cli.app import app
from disentangle_bench.studies.config import PRESETS
from tests.helpers import ROOT

PAGE_OF: dict[str, tuple[str, str]] = {
    "model": ("reference/models.md", "## "),
    "metric": ("reference/metrics/index.md", "### "),
    "comparison": ("reference/metrics/index.md", "### "),
    "dataset": ("reference/datasets/index.md", "## "),
}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return made_pages()


def part(page: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level."""
    level = heading.split()[0]
    assert f"\n{heading}\n" in page, heading
    return page.partition(f"\n{heading}\n")[2].partition(f"\n{level} ")[0]


def leaves(nav: Any) -> Iterator[str]:
    """All pages that a nav names."""
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from leaves(each)


def load(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, entries in registry.BUILT_IN.items() for name in entries]
)
def test_all_that_is_registered_has_its_section(kind: str, name: str, pages: dict[str, str]) -> None:
    page, level = PAGE_OF[kind]
    text, item = part(pages[page], level + name), registry.get(kind, name)
    for named in ("configurations", "protocols"):
        assert all(f"`{each}`" in text for each in getattr(item, named, ()))
    for said in ("paper", "cite", "title"):
        assert getattr(item, said, "") in text


@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_a_models_section_has_its_players_and_every_setting(name: str, pages: dict[str, str]) -> None:
    text, cls = part(pages["reference/models.md"], f"## {name}"), registry.get("model", name)
    assert cls.code_source in text
    assert "players and parameters**: `" in text
    assert all(f"| `{field}` | {cell(info.description)} |" in text for field, info in cls.Config.model_fields.items())


@pytest.mark.parametrize("name", registry.BUILT_IN["dataset"])
def test_a_datasets_section_has_its_factors_and_licence(name: str, pages: dict[str, str]) -> None:
    text, cls = part(pages["reference/datasets/index.md"], f"## {name}"), registry.get("dataset", name)
    assert all(f"`{factor}` {size}" in text for factor, size in zip(cls.factor_names, cls.factor_sizes, strict=True))
    assert "**licence**: " in text


def test_every_command_and_option_is_there(pages: dict[str, str]) -> None:
    found = list(walk(get_command(app), (PROGRAM,)))
    assert {" ".join(words[1:]) for words, _ in found} >= {"run", "leaderboard", "datasets prepare"}
    for words, command in found:
        text = part(pages["reference/commands.md"], f"{'#' * len(words)} {' '.join(words[1:])}")
        assert " ".join(command.help.split()[:6]) in text.replace("\n", " ")
        for option in (each for each in command.params if not getattr(each, "hidden", False)):
            assert (option.help or "") in text
            assert all(f"`{name}`" in text for name in option.opts if name.startswith("-"))


@pytest.mark.parametrize("file", sorted(PRESETS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_preset_is_there_as_it_is(file: Any, pages: dict[str, str]) -> None:
    text = part(pages["reference/presets.md"], f"## {file.stem}")
    assert file.read_text().rstrip() in text
    assert yaml.safe_load(file.read_text())["description"] in text


def test_every_card_is_a_page_as_it_is(pages: dict[str, str]) -> None:
    for folder in ("metrics", "datasets"):
        for card in (ROOT / folder).glob("*.md"):
            assert pages[f"reference/{folder}/{card.name}"] == card.read_text()


def test_every_page_that_is_made_is_in_the_nav(pages: dict[str, str]) -> None:
    listed = {*leaves(reference_nav()), *leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])}
    assert pages.keys() <= listed


@pytest.mark.parametrize("module", [disentangle_bench, datasets, metrics])
def test_what_a_module_offers_is_public(module: Any) -> None:
    public = set(python_api.public_names())
    assert {f"{module.__name__}.{name}" for name in module.__all__} <= public


def methods(cls: type) -> Iterator[str]:
    """The public methods and properties that a class itself has; a field's default is none, though it be a function."""
    for name, value in vars(cls).items():
        a_field = name in getattr(cls, "__dataclass_fields__", {})
        method = isinstance(value, property | classmethod | staticmethod) or inspect.isfunction(value)
        if method and not a_field and not name.startswith("_"):
            yield name


@pytest.mark.parametrize("name", python_api.public_names())
def test_what_is_public_says_what_it_is(name: str) -> None:
    item = load(name)
    assert inspect.getdoc(item)
    for method in methods(item) if inspect.isclass(item) else ():
        assert inspect.getdoc(getattr(item, method)), method


def test_parameters_in_a_docstring_are_a_list() -> None:
    text = "What it does.\ncodes: (N, D), of\n    all images.\nmore, most: two of them.\nNote: none."
    listed = "What it does.\n\n- `codes`: (N, D), of\n    all images.\n- `more`, `most`: two of them.\nNote: none."
    assert as_markdown(text, ["codes", "more", "most"]) == listed


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("explanation/cost.md", "../../metrics/mig.md#traps", "../reference/metrics/mig.md#traps"),
        ("explanation/cost.md", "../../datasets", "../reference/datasets/index.md"),
        ("index.md", "../CHANGELOG.md", "changelog.md"),
        ("howto/gpu.md", "../explanation/cost.md", "../explanation/cost.md"),
        ("index.md", "../results/mini/leaderboard.png", "pictures/mini.png"),
        ("index.md", "../no/such.md", "../no/such.md"),
    ],
)
def test_links_out_of_the_docs_lead_to_their_place_on_the_site(page: str, link: str, expected: str) -> None:
    assert for_the_site(f"See [it]({link}).", page) == f"See [it]({expected})."


def test_a_list_after_a_paragraph_gets_its_empty_line() -> None:
    text = "Two:\n- one,\n  and more\n- two\n\n```text\na\n- b\n```"
    assert with_lists(text) == text.replace("Two:\n", "Two:\n\n")


def test_what_stands_in_a_table_keeps_to_its_cell() -> None:
    assert table(["a"], [["one\n| two"]]).splitlines()[-1] == "| one \\| two |"
    assert [number(each) for each in (10_000, 1e-6, float("inf"))] == ["10,000", "1e-06", "∞"]
