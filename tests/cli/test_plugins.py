"""A user's own file that goes wrong: what the command line says of it, and what becomes of the other models."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from disentangle_bench import registry
from disentangle_bench.cli.app import main
from disentangle_bench.trials.records import Record, Workspace, read_record
from tests.helpers import line_with, little

Said = tuple[int, str, str]  # exit status, stdout, stderr
BASE = "        super().__init__(config, image_shape)\n"
ENCODE = "        return self.encoder(images)\n"
IMPORT = ("import torch\n", "import pydantic\nimport torch\n")
LOSSES = "        images = self.decoder"
RUN = ["--dataset", "tiny", "--local", "--name", "s", "--set", "steps=10", "--set", "metrics={mig: [robust]}"]


@pytest.fixture
def shell(place, tmp_path, monkeypatch, capsys) -> Callable[..., Said]:
    """Runs a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["disentangle-bench", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def records(place: Workspace) -> dict[str, Record]:
    found = [read_record(path) for path in place.results.glob("runs/*/record.json")]
    return {record.spec.model: record for record in found}


BEFORE_TRAINING = {
    "a constructor that loads what is not there": (
        (BASE, BASE + "        self.table = torch.load('weights.pt')\n"),
        "torch.load(",
        "its constructor raised FileNotFoundError: [Errno 2] No such file or directory: 'weights.pt'",
    ),
    "a constructor without its base": ((BASE, ""), "self.encoder = ", "call `super().__init__(config, image_shape)`"),
    "another constructor": (
        ("(self, config, image_shape)", "(self, config)"),
        "class Little",
        "its constructor raised",
    ),
    "no method": (("    def encode", "    def encoder_"), "class Little", "it does not define `encode`"),
    "no losses": (("    def losses", "    def loss"), "class Little", "it does not define `losses`"),
    "no configurations": (("    configurations =", "    others ="), "class Little", "name some in `configurations`"),
    "a configuration of another type": (('{"small": Settings()}', '{"small": 3}'), "class Little", "it is a int"),
    "a setting without a default": (("steps: int = 10", "steps: int"), '"small": Settings()', "Field required"),
    "an error in `players`": (("lr=1e-2", "lr=1 / 0"), "lr=1 / 0", "`players` raised ZeroDivisionError"),
    "an optimiser that refuses": (("lr=1e-2", "lr=-1.0"), "class Little", "Invalid learning rate: -1.0"),
    "an error in `encode`": ((ENCODE, "        return images.nothing\n"), "images.nothing", "`encode` raised Attr"),
    "codes in a tuple": ((ENCODE, "        return images, images\n"), "def encode", "must give a tensor (N, D)"),
    "an error in `generate`": ((".tanh()", ".tanh(3)"), ".tanh(3)", "`generate` raised TypeError"),
    "an import that fails": (
        ("import math\n", "import math\nimport nothing_here\n"),
        "nothing_here",
        "can't be imported",
    ),
    "no Python": (("def players(self)", "def players(self"), "def players(self", "SyntaxError: '(' was never closed"),
}


@pytest.mark.parametrize("case", BEFORE_TRAINING)
def test_a_plugins_mistake_is_one_sentence_with_its_line_and_status_2(case, shell, tmp_path):
    change, at, words = BEFORE_TRAINING[case]
    plugin = little(tmp_path / "mine.py", f"mine-{list(BEFORE_TRAINING).index(case)}", change)
    code, _, said = shell("run", "--plugin", "mine.py", "--models", f"mine-{list(BEFORE_TRAINING).index(case)}", *RUN)
    assert code == 2
    assert f"mine.py:{line_with(plugin, at)}" in said
    assert words in " ".join(said.split())
    assert "Traceback" not in said
    assert all('File "mine.py"' in line for line in said.splitlines() if line.startswith("  File")), "only its frames"
    assert not (tmp_path / "results").exists(), "nothing was begun"


def test_an_error_in_a_configs_validator_names_its_line(shell, tmp_path):
    look = '    @pydantic.field_validator("strength")\n    def look(cls, value):\n        return {1: 2}[value]\n\n'
    plugin = little(tmp_path / "mine.py", "validated", ("    strength:", look + "    strength:"), IMPORT)
    code, _, said = shell("run", "--plugin", "mine.py", "--models", "validated", *RUN, "--set", "validated.strength=3")
    assert code == 2
    assert f"KeyError: 3.0, at mine.py:{line_with(plugin, '[value]')}" in said


def test_the_other_models_go_on_where_a_plugins_can_not(shell, place, tmp_path):
    little(tmp_path / "mine.py", "hopeless", (BASE, BASE + "        raise OSError('planned')\n"))
    code, _, said = shell("run", "--plugin", "mine.py", "--models", "hopeless,gan", *RUN)
    assert code == 2
    assert "the model 'hopeless'" in said
    assert "OSError: planned, at mine.py:" in said
    assert {name: record.status for name, record in records(place).items()} == {"gan": "finished"}
    little(tmp_path / "mine.py", "hopeless")
    code, out, said = shell("run", "--plugin", "mine.py", "--models", "hopeless,gan", *RUN)
    assert code == 0, said
    assert "2 trials, 1 done, 1 to run" in out


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ((LOSSES, "        step / 0 if step < 4 else undefined\n" + LOSSES), "undefined"),
        ((ENCODE, "        return self.encoder(images) if len(images) < 20 else undefined\n"), "undefined"),
    ],
    ids=["losses", "encode"],
)
def test_a_crash_in_training_names_the_plugins_line_and_where_to_look(change, at, shell, place, tmp_path):
    function, name = change[0].strip().split()[0], f"crashing-{len(change[1])}"
    plugin = little(tmp_path / "mine.py", name, change)
    code, out, said = shell("run", "--plugin", "mine.py", "--models", f"{name},gan", *RUN)
    assert code == 1, said
    found = records(place)
    assert found["gan"].status == "finished"
    crashed, line = found[name], line_with(plugin, at)
    function = "losses" if function == "images" else "encode"
    assert crashed.cause == f"NameError: name 'undefined' is not defined, at mine.py:{line}, in {function}"
    assert crashed.cause in " ".join(out.split())
    assert f'mine.py", line {line}, in {function}\n' in said
    assert str(place.record(crashed.id).relative_to(tmp_path)) in said
    assert f"`disentangle-bench why {crashed.id}`" in said
    assert "try `disentangle-bench check mine.py`" in said

    code, out, _ = shell("why", crashed.id[:6])
    assert code == 0
    assert crashed.cause in out
    assert "Traceback (most recent call last):\n" in out
    assert f'mine.py", line {line}, in {function}\n' in out
    assert "disentangle-bench check mine.py" in out
    assert str(place.record(crashed.id).relative_to(tmp_path)) in out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('return {"both": (', 'return {"bth": (', "gives a loss for 'bth', but `players` names both"),
        ('return {"both": (images - batch.images).square().mean()}', "return images", "not a tensor (8, 1, 16, 16)"),
        (".square().mean()}", ".square()}", "one number that depends on its parameters, not a tensor (8, 1, 16, 16)"),
    ],
)
def test_losses_that_are_none_are_a_mistake_to_mend(old, new, words, shell, tmp_path):
    name = f"loss-{len(new)}"
    plugin = little(tmp_path / "mine.py", name, (old, new))
    code, _, said = shell("run", "--plugin", "mine.py", "--models", name, *RUN)
    assert code == 2
    assert words in said
    assert f"mine.py:{line_with(plugin, 'def losses')}" in said


def test_a_fault_of_ours_keeps_its_traceback(shell, tmp_path, monkeypatch):
    import disentangle_bench.studies.plan as planning

    def breaks(*anything):
        raise RuntimeError("ours")

    little(tmp_path / "mine.py", "innocent")
    monkeypatch.setattr(planning, "joined", breaks)
    with pytest.raises(RuntimeError, match="ours"):
        shell("run", "--plugin", "mine.py", "--models", "innocent", *RUN)


def test_why_a_trial_diverged_or_did_not(shell, place):
    words = ["--set", "intervals.log=2", "--set", "faulty.diverge_at=7"]
    assert shell("run", "--models", "faulty,gan", *RUN, *words)[0] == 0
    found = records(place)
    code, out, _ = shell("why", found["faulty"].id)
    assert code == 0
    assert "diverged: a loss was not a finite number at or before step 8 of 10." in out
    assert "\n  step 6: the loss of both " in out
    assert "  step 8" not in out
    code, out, _ = shell("why", found["gan"].id)
    assert "finished: nothing went wrong.\nIt has 1 scores; 0 were skipped" in out
    code, _, said = shell("why", "ffff")
    assert (code, "there is no such record" in said) == (2, True)


def test_a_plugins_trial_asks_for_its_plugin(shell, place, tmp_path, monkeypatch):
    little(tmp_path / "mine.py", "beta-vee")
    assert shell("run", "--plugin", "mine.py", "--models", "beta-vee", *RUN)[0] == 0
    trial = records(place)["beta-vee"].id
    assert shell("traverse", trial, "--plugin", "mine.py")[0] == 0
    with monkeypatch.context() as without:
        without.delitem(registry._plugins["model"], "beta-vee")
        code, _, said = shell("traverse", trial)
        assert code == 2
        assert "its model 'beta-vee' came from a plugin; give that with --plugin mine.py" in said
        assert "Did you mean" not in said
        assert shell("score", trial, "--metric", "mig/robust")[0] == 0, "stored codes need no model"
        code, _, said = shell("run", "--models", "beta-vee", *RUN)
        assert (code, "--plugin FILE" in said) == (2, True)
    with monkeypatch.context() as without:
        without.delitem(registry._plugins["dataset"], "tiny")
        code, _, said = shell("score", trial)
        assert code == 2
        assert "its dataset 'tiny' is not known here; give a plugin's with --plugin" in said


@pytest.mark.parametrize("where", [["--local"], []], ids=["local", "ray"])
def test_a_search_says_a_plugins_fault(where, tmp_path, process):
    name = "sought"
    space = ("    Config =", '    search_space = {"strength": (1.0, 2.0)}\n    Config =')
    plugin = little(tmp_path / "mine.py", name, space, (LOSSES, "        step if step < 3 else undefined\n" + LOSSES))
    words = ["--dataset", "tiny", "--samples", "1", "--seeds", "0-1", "--set", "steps=9", "--plugin", "mine.py"]
    done = process("tune", name, *words, *where)
    assert done.returncode == 2, done.stderr
    assert f"NameError: name 'undefined' is not defined, at {'' if where else tmp_path}" in done.stderr
    assert f"mine.py:{line_with(plugin, 'undefined')}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plugins_metric_that_crashes_names_its_line(shell, place, tmp_path):
    (tmp_path / "metric.py").write_text(
        "from disentangle_bench.contracts import Metric\n"
        "def crashes(table, protocol, rng):\n    return {'score': 1 / 0}\n"
        "METRIC = Metric('crashing', 'Crashing', 'nobody', crashes, {'only': None})\n"
    )
    assert shell("run", "--models", "gan", *RUN)[0] == 0
    trial = records(place)["gan"].id
    code, _, said = shell("score", trial, "--plugin", "metric.py", "--metric", "crashing")
    assert code == 2
    assert "the plugin metric.py raised ZeroDivisionError: division by zero, at metric.py:3" in said
    code, _, said = shell("run", "--models", "gan", *RUN, "--plugin", "metric.py", "--set", "metrics.crashing=only")
    assert code == 2
    assert (
        "ZeroDivisionError: division by zero, at metric.py:3, in crashes); the trial keeps its earlier scores" in said
    )


def test_a_plugins_dataset_that_can_not_be_opened_names_its_line(shell, tmp_path):
    (tmp_path / "data.py").write_text(
        "import numpy as np\nfrom disentangle_bench.contracts import Dataset\n"
        "class Lost(Dataset):\n    name = 'lost'\n"
        "    def __init__(self, root):\n        self.rows = np.load('nothing.npy')\n"
    )
    code, _, said = shell("run", "--plugin", "data.py", "--models", "gan", *RUN[2:], "--dataset", "lost")
    assert code == 2
    assert "the dataset 'lost' (data.py:3) fails: its constructor raised FileNotFoundError" in said
    assert "at data.py:6" in said
    code, said, _ = shell("datasets", "--plugin", "data.py")
    assert (code, "lost" in said) == (0, True), "it is listed, though it has no description"
