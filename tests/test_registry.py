"""Names, plugins and cards: what is registered exists, is described, and is found by its name alone."""

import re
import subprocess
import sys
from itertools import takewhile

import pytest

from disentangle_bench import blame, registry
from disentangle_bench.contracts import Comparison, Dataset, ImageMetric, Metric
from disentangle_bench.errors import PluginError, UserError
from disentangle_bench.models.base import Model, ModelConfig
from disentangle_bench.plugins import guarded
from disentangle_bench.resources import shipped
from tests.helpers import ROOT, line_with, little

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
    own = [name for name in registry.metrics_of(Metric) if name in registry.BUILT_IN["metric"]]  # other tests add some
    metrics = {name: registry.get("metric", name) for name in own}
    shown = [tuple(re.findall(r"`([^`]+)`", row)) for row in rows]
    assert shown == [(name, protocol) for name, metric in metrics.items() for protocol in metric.protocols]
    for (name, _), row in zip(shown, rows, strict=True):
        cells = row.strip("| ").split(" | ")[1:]
        assert all(cell == "–" or len(cell.split(" / ")) == len(metrics[name].keys) for cell in cells)


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
        of_many = ["correlated"] if folder == "datasets" else []
        assert cards == sorted([*(name for kind in kinds for name in registry.BUILT_IN[kind]), *of_many])


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


@pytest.mark.parametrize("name", ["../up", "a/b", "=1+1", "-x", "@sum", "a,b", "a\nb", ".hidden", "a'b"])
@pytest.mark.parametrize("kind", ["class Mine(Model)", "class Mine(Dataset)"])
def test_a_name_that_stands_in_no_path_and_no_table_is_refused(kind, name, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from disentangle_bench.contracts import Dataset\nfrom disentangle_bench.models.base import Model\n"
        f"{kind}:\n    name = {name!r}\n"
    )
    with pytest.raises(UserError, match=r"can't be used: names stand in paths, lists and tables"):
        registry.load_plugin(tmp_path / "mine.py")


def test_a_plugin_that_cannot_be_found_gets_a_sentence():
    with pytest.raises(UserError, match="it can't be imported"):
        registry.load_plugin("no_such_module_anywhere")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import math\n\ndef broken(:\n", "SyntaxError: invalid syntax, at {file}:3"),
        ("import helper_of_mine\n", "SyntaxError: '.' was never closed, at {helper}:2"),
        ("import math\nvalue = math.sqrt(-1)\n", "ValueError: .*, at {file}:2"),
        ("import json\nvalue = json.loads('')\n", "JSONDecodeError: .*, at {file}:2"),  # not where json noticed it
        ("raise SystemExit(3)\n", "SystemExit: 3, at {file}:1"),
    ],
)
def test_an_import_that_fails_names_the_plugins_own_line(source, words, tmp_path, monkeypatch):
    file, helper = tmp_path / "mine.py", tmp_path / "helper_of_mine.py"
    file.write_text(source)
    helper.write_text("x = 1\ny = (1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=words.format(file=file, helper=helper)):
        registry.load_plugin(file)


def test_a_package_that_fails_names_its_own_file(tmp_path, monkeypatch):
    inner = tmp_path / "broken_package" / "models"
    inner.mkdir(parents=True)
    for folder in (inner.parent, inner):
        (folder / "__init__.py").touch()
    (inner / "mine.py").write_text("\nimport nothing_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=f"No module named 'nothing_here', at {inner / 'mine.py'}:2"):
        registry.load_plugin("broken_package.models.mine")


def test_a_metric_whose_compute_is_no_function_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from functools import partial\nfrom disentangle_bench.contracts import Metric\n"
        "def half(table, protocol, rng):\n    return {'score': 0.5}\n"
        "METRIC = Metric('partly', 'Partly', 'nobody', partial(half), {'only': None})\n"
    )
    with pytest.raises(UserError, match=r"the metric 'partly' in .*mine\.py: `compute` must be a function"):
        registry.load_plugin(tmp_path / "mine.py")


def test_frames_are_a_plugins_own_in_its_file_and_beside_it_but_not_in_an_installed_package(tmp_path):
    mine, package = tmp_path / "mine.py", tmp_path / "package" / "__init__.py"
    installed = tmp_path / "site-packages" / "single.py"
    assert blame.belongs(str(mine), mine)
    assert blame.belongs(str(tmp_path / "beside.py"), mine)
    assert not blame.belongs(str(tmp_path / "package" / "deeper.py"), mine)
    assert blame.belongs(str(package.parent / "models" / "deep.py"), package)
    assert blame.belongs(str(installed), installed)
    assert not blame.belongs(str(installed.parent / "other.py"), installed)
    assert not blame.belongs("<frozen importlib._bootstrap>", mine)


def test_an_error_of_ours_beneath_a_plugin_is_told_with_our_frames(tmp_path):
    """The plugin called us: perhaps wrongly, perhaps the fault is ours."""
    plugin = little(
        tmp_path / "mine.py", "calls-us", ("        self.shape =", "        parameters_of(3)\n        self.shape =")
    )
    registry.load_plugin(plugin)
    cls = registry.get("model", "calls-us")
    with pytest.raises(PluginError) as raised:
        guarded(cls, "its constructor", cls, cls.configurations["small"], (1, 16, 16))
    said = str(raised.value)
    assert f"at {plugin}:{line_with(plugin, 'parameters_of(3)')}" in said
    assert re.search(r"disentangle_bench/models/base\.py\", line \d+, in parameters_of", said)


def test_an_error_of_ours_alone_keeps_its_traceback(tmp_path):
    registry.load_plugin(little(tmp_path / "mine.py", "stands-by"))
    with pytest.raises(FileNotFoundError, match="is the package whole"):
        guarded(registry.get("model", "stands-by"), "a call", shipped, "nothing of this name")
