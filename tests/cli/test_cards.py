"""`metrics`, `datasets` and `models`: lists that keep their numbers, and the card of one by its name."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from disentangle_bench import display, registry
from disentangle_bench.cli.cards import dataset_card, metric_card, model_card, show_card
from disentangle_bench.errors import UserError
from tests.helpers import ROOT, TESTS

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def plugins() -> None:
    for name in ("tiny.py", "faulty.py", "turns.py", "metric.py"):
        registry.load_plugin(TESTS / "plugins" / name)


def test_a_card_is_the_shipped_file() -> None:
    for kind in ("metric", "comparison"):
        for name in registry.BUILT_IN[kind]:
            assert metric_card(name) == (ROOT / "metrics" / f"{name}.md").read_text(encoding="utf-8")
    for name in registry.BUILT_IN["dataset"]:
        assert dataset_card(name) == (ROOT / "datasets" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("dsprites-32-draft", "dsprites-32"),
        ("celeba-squash-test", "celeba"),
        ("celeba-train-draft", "celeba"),
        ("folder-cats", "folder"),
    ],
)
def test_a_member_of_a_family_has_the_familys_card(name: str, family: str) -> None:
    about, _, card = dataset_card(name).partition("\n\n")
    assert about.startswith(f"`{name}`: ")
    assert card == dataset_card(family)


@pytest.mark.parametrize("name", ["dsprites-corr-0.1-scale+posX", "mpi3d-toy-corr-0.4-object_shape+all-draft"])
def test_a_correlated_dataset_has_the_card_of_all_of_them(name: str) -> None:
    about, _, card = dataset_card(name).partition("\n\n")
    assert about.startswith(f"`{name}`: ")
    assert "correlate" in about
    assert card == (ROOT / "datasets/correlated.md").read_text(encoding="utf-8")


def test_a_plugins_card_says_what_is_known() -> None:
    card = metric_card("constant")
    for text in ("# constant: A constant", "| cite | nobody |", "| protocols | `only` |", "| range | 0 to 1 |"):
        assert text in card
    for name in ("tiny", "tiny-draft"):
        card = dataset_card(name)
        for text in ("a bar on a 16×16 image", "A bright bar of 3 widths", "| factors | width 3, column 4, row 8 |"):
            assert text in card
    card = model_card("faulty")
    assert "A linear autoencoder that crashes" in card
    assert "| parameters | `both` " in card
    assert "| `losses` |" not in card, "the words of the contract say nothing of this model"


@pytest.mark.parametrize("name", [*registry.BUILT_IN["model"], "faulty", "turns"])
def test_a_models_card_has_every_setting_and_configuration(name: str) -> None:
    cls, card = registry.get("model", name), model_card(name)
    assert cls.paper in card
    for field in cls.Config.model_fields:
        assert f"| `{field}` | " in card
    for configuration in cls.configurations:
        assert f"`{configuration}`" in card


def test_a_models_card_tells_its_losses_players_and_differing_settings() -> None:
    card = model_card("ib-gan")
    for text in (
        "min over e, G, q and max over D",
        "| `losses` | L_D, and L_GR = γ·L_G + the information terms. |",
        "`discriminator` 2,213,329",
        "| `beta` | 0.141 | weight of I^U, the information bottleneck |",
        "- `dsprites-color8`: as `dsprites`, but steps 500,000, beta 0.071",
        "`--set ib-gan.beta=VALUE`",
    ):
        assert text in card


@pytest.mark.parametrize(
    ("card", "name", "sentence"),
    [
        (metric_card, "mgi", "unknown metric 'mgi'. Did you mean 'mig'?"),
        (metric_card, "udrr", "Did you mean 'udr'?"),
        (dataset_card, "dsprits", "Did you mean 'dsprites'?"),
        (model_card, "ib-gam", "unknown model 'ib-gam'. Did you mean 'ib-gan'?"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(card: Callable[[str], str], name: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        card(name)
    assert sentence in str(caught.value)


def test_a_pipe_gets_the_raw_text_and_a_terminal_a_formatted_one(capsys: pytest.CaptureFixture[str]) -> None:
    show_card("# head\n\n| a | b |\n|---|---|\n| [x] | :smile: |\n")
    assert capsys.readouterr().out == "# head\n\n| a | b |\n|---|---|\n| [x] | :smile: |\n"


def test_the_terminal_gets_markdown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Console(force_terminal=True, width=60)
    monkeypatch.setattr("disentangle_bench.cli.cards.console", lambda: terminal)
    show_card("# head\n\n`code`\n")
    printed = capsys.readouterr().out
    assert "#" not in printed
    assert "\x1b[" in printed


def test_the_commands_print_cards_beside_their_lists(command: Command) -> None:
    assert command("metrics", "factor-vae").stdout.startswith("# factor-vae: the FactorVAE score\n")
    assert command("metrics", "udr").stdout.startswith("# udr")
    assert command("models", "faulty").stdout.startswith("# faulty\n")
    assert command("datasets", "dsprites", plugins=False).stdout.startswith("# dsprites\n")
    assert command("datasets", "tiny").stdout.startswith("# tiny: ")
    done = command("datasets", "verfy", plugins=False)
    assert (done.returncode, "Did you mean 'verify'?" in done.stderr) == (2, True)
    assert command("datasets", "prepare", "dsprites-circular", "--data-root", "data").returncode == 0
    shown = command("datasets", "show", "dsprites-circular", "--data-root", "data", "--out", "a.png", plugins=False)
    old = command("datasets", "show", "dsprites-circular", "--data-root", "data", "--output", "b.png", plugins=False)
    assert (shown.returncode, old.returncode) == (0, 0), shown.stderr + old.stderr


def test_metrics_lists_comparisons_and_the_default_protocol_first(command: Command) -> None:
    listed = command("metrics").stdout
    rows = {row.split("│")[1].strip(): row for row in listed.splitlines() if row.startswith("│")}
    assert {"udr", "model-centrality", "mig", "fid"} <= set(rows)
    assert "seeds" in rows["udr"]
    assert "lower" in rows["fid"]
    assert rows["mig"].split("│")[-2].split(",")[0].strip() == "robust"
    assert "The first protocol is meant where none is named" in listed


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_list_of_datasets_keeps_names_sizes_and_what_is_prepared(
    width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from disentangle_bench.cli.app import app

    monkeypatch.setattr(display, "console", lambda stderr=False: Console(width=width, highlight=False))
    monkeypatch.setattr("disentangle_bench.cli.datasets.console", display.console)
    printed = CliRunner().invoke(app, ["datasets", "--data-root", str(tmp_path)]).stdout
    rows = [row for row in printed.splitlines() if row.startswith(("│", "┃"))]
    assert max(map(len, rows)) <= width
    assert "…" not in printed
    for name in registry.BUILT_IN["dataset"]:
        (row,) = (row for row in rows[1:] if row.split("│")[1].strip() == name)
        assert row.split("│")[-2].strip() == "no"
    assert "prepared" in rows[0]
    for text in ("268 MB", "5.9 GB", "≤ 12.7 GB", "yours", "4.4 MB"):
        assert text in printed
    assert ("what it holds" in printed) == (width >= 80)


def test_a_table_is_fitted_by_columns_and_not_by_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "console", lambda stderr=False: Console(width=40))
    table = Table("name", "words")
    table.add_column("count", justify="right")
    table.add_column("less")
    table.add_row("a-name-of-some-length", "some words that can be folded", "1,234,567", "9")
    table.columns[0].no_wrap = True
    fitted = display.fitted(table, "less", "words")
    assert [column.header for column in fitted.columns] == ["name", "count"]
    console = Console(width=40)
    with console.capture() as captured:
        console.print(fitted)
    assert "a-name-of-some-length" in captured.get()
    assert "1,234,567" in captured.get()


@pytest.mark.parametrize(
    ("count", "text"),
    [(12, "12 B"), (4_500, "4.5 kB"), (1_408_000, "1.4 MB"), (377_487_360, "377 MB"), (12_740_198_400, "12.7 GB")],
)
def test_sizes_in_words(count: int, text: str) -> None:
    assert display.size(count) == text


def test_the_sizes_that_are_told_are_those_of_the_files(tmp_path: Path) -> None:
    for name in ("dsprites-circular", "digits"):
        cls = registry.get("dataset", name)
        path = cls.prepare(tmp_path)
        assert cls.disk() == pytest.approx(path.stat().st_size, rel=0.05)
