"""Names, plugins and cards: what is registered exists, is described, and is found by its name alone."""

import re
import subprocess
import sys
from itertools import takewhile

import pytest

from disentangle_bench import registry
from disentangle_bench.contracts import Comparison, Dataset, ImageMetric, Metric
from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Model, ModelConfig
from tests.helpers import ROOT

EVERYTHING = [(kind, name) for kind, entries in registry.BUILT_IN.items() for name in entries]


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_a_registered_name_is_the_things_own_name_and_stands_in_a_list_of_the_documentation(kind, name):
    assert registry.get(kind, name).name == name
    page = "explanation/protocols.md" if kind in ("metric", "comparison") else "index.md"
    assert f"`{name}`" in (ROOT / "docs" / page).read_text()


@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_a_models_configurations_stand_beside_it(name):
    lines = (ROOT / "docs/index.md").read_text().splitlines()
    row = next(line for line in lines if f"`{name}`" in line.split(" | ")[0])
    assert all(f"`{each}`" in row for each in registry.get("model", name).configurations)


@pytest.mark.parametrize("name", [*registry.BUILT_IN["metric"], *registry.BUILT_IN["comparison"]])
def test_a_metrics_protocols_stand_beside_it(name):
    kind = "metric" if name in registry.BUILT_IN["metric"] else "comparison"
    lines = (ROOT / "docs/explanation/protocols.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| `{name}`") and f"/{name}.md" in line)
    assert all(f"`{protocol}`" in row for protocol in registry.get(kind, name).protocols)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, name in EVERYTHING if kind in ("metric", "comparison")]
)
def test_a_metric_has_a_citation_and_a_card_with_all_its_protocols(kind, name):
    metric = registry.get(kind, name)
    assert isinstance(metric, Metric | ImageMetric if kind == "metric" else Comparison)
    assert metric.cite
    card = (ROOT / "metrics" / f"{name}.md").read_text()
    assert all(f"`{protocol}`" in card for protocol in metric.protocols)


def test_a_page_shows_what_oracle_codes_score_under_every_protocol():
    lines = (ROOT / "docs/explanation/oracles.md").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| metric · protocol |"))
    rows = list(takewhile(lambda line: line.startswith("|"), lines[start + 2 :]))
    metrics = {name: registry.get("metric", name) for name in registry.metrics_of(Metric)}
    shown = [tuple(re.findall(r"`([^`]+)`", row)) for row in rows]
    assert shown == [(name, protocol) for name, metric in metrics.items() for protocol in metric.protocols]
    for (name, _), row in zip(shown, rows, strict=True):
        cells = row.strip("| ").split(" | ")[1:]
        assert all(len(cell.split(" / ")) == len(metrics[name].keys) for cell in cells)


@pytest.mark.parametrize("name", registry.BUILT_IN["dataset"])
def test_a_dataset_has_a_card(name):
    cls = registry.get("dataset", name)
    assert issubclass(cls, Dataset)
    card = (ROOT / "datasets" / f"{name}.md").read_text().lower()
    assert all(word in card for word in ("licence", "checksum", "known traps"))


@pytest.mark.parametrize("name", registry.BUILT_IN["model"])
def test_a_model_has_a_paper_a_code_source_and_described_settings(name):
    cls = registry.get("model", name)
    assert issubclass(cls, Model)
    assert cls.paper
    assert cls.code_source
    assert all(isinstance(config, ModelConfig) for config in cls.configurations.values())
    assert all(field.description for field in cls.Config.model_fields.values())


def test_every_card_belongs_to_something():
    for folder, kinds in {"metrics": ("metric", "comparison"), "datasets": ("dataset",)}.items():
        cards = sorted(path.stem for path in (ROOT / folder).glob("*.md"))
        assert cards == sorted(name for kind in kinds for name in registry.BUILT_IN[kind])


def test_listing_and_scoring_import_neither_torch_nor_ray():
    code = (
        "import sys; from disentangle_bench import registry; from disentangle_bench.metrics import score; "
        "registry.names('metric'); registry.get('metric', 'factor-vae'); "
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unchanged_plugin_can_be_loaded_twice():
    plugin = ROOT / "tests/plugins/faulty.py"
    registry.load_plugin(plugin)
    assert registry.load_plugin(plugin) == []


def test_a_changed_plugin_replaces_itself(tmp_path):
    plugin = tmp_path / "mine.py"
    source = (ROOT / "tests/plugins/tiny.py").read_text().replace('name = "tiny', 'name = "other')
    plugin.write_text(source)
    assert registry.load_plugin(plugin) == ["other", "other-two"]
    before = registry.source_hash("dataset", "other")
    plugin.write_text(source + "\n# changed\n")
    assert registry.load_plugin(plugin) == ["other", "other-two"]
    assert registry.source_hash("dataset", "other") != before


def test_a_metric_plugin(tmp_path):
    plugin = tmp_path / "metric.py"
    plugin.write_text(
        "from disentangle_bench.contracts import Metric\n"
        "def half(table, protocol, rng):\n    return {'score': 0.5}\n"
        "METRIC = Metric('half', 'Half', 'nobody 1900', half, {'only': None})\n"
    )
    assert registry.load_plugin(plugin) == ["half"]
    from disentangle_bench.metrics import score

    assert score("half", [[0.0], [1.0]], [[0], [1]], protocol="only")["score"] == 0.5


def test_a_name_taken_twice_is_an_error(tmp_path):
    source = (ROOT / "tests/plugins/tiny.py").read_text().replace('name = "tiny', 'name = "third')
    for file in ("one.py", "two.py"):
        (tmp_path / file).write_text(source)
    registry.load_plugin(tmp_path / "one.py")
    with pytest.raises(UserError, match="a dataset named 'third' exists already"):
        registry.load_plugin(tmp_path / "two.py")


def test_a_plugin_that_cannot_be_found_gets_a_sentence():
    with pytest.raises(UserError, match="it can't be imported"):
        registry.load_plugin("no_such_module_anywhere")
