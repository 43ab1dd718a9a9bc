"""The command line as a user meets it: real Ray, real kills; in a process of its own where that is what is tested."""

import json
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import disentangle_bench
from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.metrics import score
from disentangle_bench.trials.records import read_record
from tests.helpers import ROOT, TESTS, call_command, command_line, environment, on_terminal, run_command

KIM = ["--set", "metrics={factor-vae: [robust]}"]  # one score instead of five, to be quick
QUICK = [*KIM, "--set", "steps=5"]
STUDY = ["--models", "gan,ib-gan", "--dataset", "tiny", "--seeds", "0-1", "--name", "s", "--set", "steps=20", *KIM]
SLOW = ["--models", "faulty", "--dataset", "tiny", "--seeds", "0-1", "--name", "s", "--set", "steps=40",
        *KIM, "--set", "faulty.pause=0.1", "--set", "intervals.checkpoint_seconds=0.3"]  # fmt: skip


def scores(folder: Path) -> dict[str, str]:
    paths = sorted((folder / "results/runs").glob("*/record.json"))
    return {path.parent.name: read_record(path).canonical_scores() for path in paths}


def mistake(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a command that must have ended in a user's mistake."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the study ran with --local, and what that printed."""
    folder = tmp_path_factory.mktemp("finished")
    done = run_command(folder, "run", *STUDY, "--local")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_study_ends_in_a_leaderboard_records_and_pictures(finished):
    folder, printed = finished
    assert "4 trials, 0 done, 4 to run" in printed
    assert "[4/4]" in printed
    assert max(map(len, printed.splitlines())) <= 120
    board = pd.read_csv(folder / "results/s/leaderboard.csv")
    assert set(board["model"]) == {"gan", "ib-gan", "oracle codes", "random codes"}
    assert board["mean"].notna().all()
    assert set(board.loc[board["model"] == "gan", "code_source"]) == {"post-hoc encoder"}
    assert len(list((folder / "results/s/traversals").glob("*.png"))) == 4
    assert len(scores(folder)) == 4


def test_running_again_trains_nothing_and_gives_the_same_table(finished):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.glob("results/runs/*/*")}
    board = (folder / "results/s/leaderboard.csv").read_bytes()
    done = call_command(folder, "run", *STUDY)
    assert "4 trials, 4 done, 0 to run" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.glob("results/runs/*/*")} == before
    assert (folder / "results/s/leaderboard.csv").read_bytes() == board


@pytest.mark.ray
def test_ray_gives_the_scores_of_local_byte_for_byte(finished, tmp_path, process):
    done = process("run", *STUDY)
    assert done.returncode == 0, done.stderr
    assert scores(tmp_path) == scores(finished[0])


def test_adding_a_metric_retrains_nothing(finished):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.glob("results/runs/*/checkpoint.pt")}
    done = call_command(folder, "run", *STUDY, "--local", "--set", "metrics.factor-vae=[infogan-cr]")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.glob("results/runs/*/checkpoint.pt")} == before
    record = read_record(next(iter(folder.glob("results/runs/*/record.json"))))
    assert {"infogan-cr", "robust"} <= set(record.scores["factor-vae"])


def test_a_changed_configuration_is_refused_with_the_difference(finished):
    folder, _ = finished
    done = call_command(folder, "run", *STUDY, "--local", "--set", "ib-gan.beta=0.5")
    sentence = mistake(done)
    assert "config.beta: 0.141 -> 0.5" in sentence
    assert "--name" in sentence


def test_status_shows_each_cell_and_trial(finished):
    done = call_command(finished[0], "status", "s")
    assert done.returncode == 0
    assert len(re.findall(r"seed \d: finished", done.stdout)) == 4


def test_a_report_has_all_that_a_study_left(finished):
    folder, _ = finished
    done = call_command(folder, "report", "s")
    assert done.returncode == 0, done.stderr
    assert "missing" not in done.stdout
    page = (folder / "results/s/report.html").read_text(encoding="utf-8")
    assert page.count("<figcaption>seed") == 8, "four trials' traversals and samples"
    assert page.count('aria-label="Curves of') == 2, "two models' curves"
    assert "oracle codes" in page


def test_score_again_gives_the_recorded_number(finished):
    folder, _ = finished
    record = read_record(next(iter(folder.glob("results/runs/*/record.json"))))
    done = call_command(folder, "score", record.id, "--metric", "factor-vae/robust")
    assert f"{record.scores['factor-vae']['robust']['score']:.6f}" in done.stdout


def test_traverse_draws_a_picture(finished, tmp_path):
    folder, _ = finished
    trial = next(iter(scores(folder)))
    done = call_command(folder, "traverse", trial, "--out", str(tmp_path / "t.png"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


def test_the_leaderboard_can_be_made_again_from_the_records(finished, tmp_path):
    folder, _ = finished
    done = call_command(folder, "leaderboard", "s", "--out", str(tmp_path / "b.csv"))
    assert done.returncode == 0, done.stderr
    assert set(pd.read_csv(tmp_path / "b.csv")["model"]) >= {"gan", "ib-gan"}


def test_a_dry_run_prints_the_whole_configuration_and_writes_nothing(tmp_path, command):
    done = command("run", *STUDY, "--dry-run")
    assert done.returncode == 0, done.stderr
    for text in ("ib-gan", "0-1", "steps=20", "factor-vae (robust)", "4 trials, 0 done, 4 to run", "MB on disk"):
        assert text in done.stdout
    assert "noise_steps:" not in done.stdout
    done = command("run", *STUDY, "--dry-run", "--verbose")
    for text in ("beta: 0.141", "noise_steps:", "threads: 1", "(seed 1)"):
        assert text in done.stdout
    assert not (tmp_path / "results").exists()


@pytest.mark.ray
def test_a_crash_is_a_row_and_the_others_go_on(tmp_path, process):
    done = process("run", "--models", "faulty,gan", "--dataset", "tiny", "--name", "s", "--set", "steps=20", *KIM,
                   "--set", "faulty.crash_at=5")  # fmt: skip
    assert done.returncode == 1
    assert "ZeroDivisionError: planned crash" in done.stdout
    board = pd.read_csv(tmp_path / "results/s/leaderboard.csv").set_index("model")
    assert (board.loc["faulty", "failures"] == 1).all()
    assert (board.loc["gan", "seeds"] == 1).all()
    failed = [r for r in map(read_record, tmp_path.glob("results/runs/*/record.json")) if r.status == "failed"]
    assert "losses" in failed[0].traceback
    status = call_command(tmp_path, "status", "s")
    assert "failed, ZeroDivisionError: planned crash" in status.stdout


def test_divergence_is_a_result_and_not_a_failure_of_the_command(tmp_path, command):
    done = command("run", "--models", "faulty", "--dataset", "tiny", "--name", "s", "--local", *KIM,
                   "--set", "steps=20", "--set", "faulty.diverge_at=5")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "diverged: a loss was not a finite number" in done.stdout


@pytest.mark.ray
def test_a_worker_killed_in_training_is_started_again_with_the_same_scores(tmp_path, tmp_path_factory, process):
    settings = [*SLOW[:-4], "--seeds", "0", "--set", "intervals.checkpoint_seconds=0", "--set", "faulty.die_once_at=15"]
    done = process("run", *settings)
    assert (tmp_path / "mark").exists(), "the worker was to kill itself"
    assert done.returncode == 0, done.stdout + done.stderr
    other = tmp_path_factory.mktemp("unbroken")
    (other / "mark").touch()
    undisturbed = call_command(other, "run", *settings, "--local")
    assert undisturbed.returncode == 0
    assert scores(tmp_path) == scores(other)


@pytest.mark.slow
@pytest.mark.ray
def test_a_crashing_metric_takes_nothing_from_finished_trials(tmp_path):
    base = ["run", "--models", "gan", "--dataset", "tiny", "--name", "s", *QUICK]
    more = [*base, "--plugin", str(TESTS / "plugins/metric.py"), "--set", "metrics.constant=only"]
    assert call_command(tmp_path, *base, "--local").returncode == 0
    before = scores(tmp_path)
    for where in (["--local"], []):
        sentence = mistake(run_command(tmp_path, *more, *where, METRIC_CRASHES="1"))
        assert "planned crash of a metric" in sentence
        assert "keeps its earlier scores" in sentence
        assert scores(tmp_path) == before
    assert "give its --plugin, or remove it" in mistake(call_command(tmp_path, *base, "--local"))
    assert call_command(tmp_path, *more, "--local").returncode == 0
    assert "constant" in next(iter(scores(tmp_path).values()))


def test_a_changed_metric_is_scored_anew(tmp_path):
    plugin = tmp_path / "metric.py"
    source = (TESTS / "plugins/metric.py").read_text()
    base = ["run", "--models", "gan", "--dataset", "tiny", "--name", "s", *QUICK, "--local",
            "--plugin", str(plugin), "--set", "metrics.constant=only"]  # fmt: skip
    plugin.write_text(source)
    assert call_command(tmp_path, *base).returncode == 0
    # of another length: within a second, Python takes a file of the same length for unchanged
    plugin.write_text(source.replace("0.5", "0.75"))
    assert call_command(tmp_path, *base, "--seeds", "0-1").returncode == 0
    board = pd.read_csv(tmp_path / "results/s/leaderboard.csv").set_index(["model", "metric"])
    assert board.loc[("gan", "constant"), "mean"] == 0.75


@pytest.mark.slow
def test_a_study_can_be_extended_by_a_dataset_and_a_model(tmp_path, command):
    base = ["run", "--name", "s", "--local", *QUICK]
    assert command(*base, "--models", "gan", "--dataset", "tiny").returncode == 0
    assert command(*base, "--models", "gan", "--dataset", "tiny-two", "--dry-run").returncode == 0
    done = command(*base, "--models", "gan,infogan", "--dataset", "tiny-two")
    assert done.returncode == 0, done.stderr
    assert "3 trials, 1 done, 2 to run" in done.stdout
    board = pd.read_csv(tmp_path / "results/s/leaderboard.csv")
    assert set(board["dataset"]) == {"tiny", "tiny-two"}


def test_a_model_that_trains_otherwise_by_now_extends_its_studies(tmp_path, monkeypatch):
    """What is recorded of the version before stays, apart; what was only planned of it is planned no more."""
    words = ["--models", "vae", "--dataset", "tiny", "--name", "s", "--local", *QUICK]
    assert call_command(tmp_path, "run", *words).returncode == 0
    study = tmp_path / "results/s/study.yaml"
    planned = yaml.safe_load(study.read_text())
    planned["cells"][0]["seeds"] = [0, 1]
    study.write_text(yaml.safe_dump(planned))
    monkeypatch.setattr(registry.get("model", "vae"), "version", 2)
    refused = call_command(tmp_path, "run", "s", "--local")
    assert (refused.returncode, "is of version 1 of vae, which has version 2 here" in refused.stderr) == (2, True)
    done = call_command(tmp_path, "run", *words)
    assert done.returncode == 0, done.stderr
    assert "2 trials, 1 done, 1 to run" in done.stdout
    status = call_command(tmp_path, "status", "s").stdout
    assert "vae tiny seed 0: finished" in status
    assert "vae(version=1) tiny seed 0: finished" in status
    assert "seed 1" not in status
    table = pd.read_csv(tmp_path / "results/s/leaderboard.csv")
    assert set(table["configuration"].dropna()) == {"small-changed", "small(version=1)-changed"}


@pytest.mark.slow
def test_a_plugin_mended_after_a_crash_runs_in_the_same_study(tmp_path):
    plugin = tmp_path / "mine.py"
    source = (TESTS / "plugins/faulty.py").read_text().replace('name = "faulty"', 'name = "mine"')
    base = ["run", "--plugin", str(plugin), "--models", "mine", "--dataset", "tiny", "--name", "s", "--local",
            *QUICK]  # fmt: skip
    plugin.write_text(source.replace("codes = self.encoder(batch.images)", "codes = undefined_name"))
    assert call_command(tmp_path, *base).returncode == 1
    plugin.write_text(source)
    assert call_command(tmp_path, *base).returncode == 0


def test_two_commands_on_one_trial_train_it_once(tmp_path):
    words = command_line(tmp_path, "run", *SLOW, "--local", "--tensorboard")
    both = [
        subprocess.Popen(words, env=environment(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(scores(tmp_path)) == 2
    for folder in tmp_path.glob("results/runs/*/tensorboard"):
        assert len(list(folder.iterdir())) == 1, "each training writes its own file of events"


@pytest.mark.ray
def test_a_package_offers_a_model_by_entry_point(tmp_path):
    package = tmp_path / "site"
    information = package / "other-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[disentangle_bench.models]\nother = other_model:Faulty\n")
    source = (TESTS / "plugins/faulty.py").read_text().replace('name = "faulty"', 'name = "other"')
    (package / "other_model.py").write_text(source)
    done = run_command(tmp_path, "run", "--models", "other", "--dataset", "tiny", "--name", "s", *QUICK,
                     PYTHONPATH=str(package))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "other" in set(pd.read_csv(tmp_path / "results/s/leaderboard.csv")["model"])


@pytest.mark.slow
@pytest.mark.ray
def test_ray_needs_no_more_than_the_machine_has(tmp_path):
    few = ["run", "--models", "gan", "--dataset", "tiny", "--name", "s", *QUICK]
    assert "lower --cpus or --gpus" in mistake(run_command(tmp_path, *few, "--cpus", "4096"))
    assert "a share of one GPU, or whole ones" in mistake(run_command(tmp_path, *few, "--gpus", "1.5"))
    assert run_command(tmp_path, *few, "--cpus", "1", RAY_ADDRESS="127.0.0.1:1").returncode == 0


def test_live_progress_on_a_terminal(tmp_path):
    status, text = on_terminal(tmp_path, "run", *SLOW, "--local", TERM="xterm", COLUMNS="100")
    assert status == 0
    assert re.search(r"faulty tiny seed 0.*train \d+/40", text)
    assert re.search(r"steps/s.*s left", text)
    assert "1 of 2 trials done" in text


def start_and_signal(folder: Path, which: signal.Signals, *arguments: str) -> tuple[int, str]:
    """Start a study, send the signal once it has a checkpoint, and return its exit status and stderr."""
    process = subprocess.Popen(
        command_line(folder, "run", *SLOW, *arguments), env=environment(folder), cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 300  # on a busy machine
    while len(list(folder.glob("results/runs/*/checkpoint.pt"))) < 1:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(which)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    done = call_command(folder, "run", *SLOW, "--local", "--set", "faulty.pause=0.1")
    assert done.returncode == 0
    return scores(folder)


@pytest.mark.slow
@pytest.mark.ray
def test_the_driver_killed_on_ray_then_run_again_gives_the_same_scores(tmp_path, undisturbed):
    code, _ = start_and_signal(tmp_path, signal.SIGKILL)
    assert code == -signal.SIGKILL
    done = run_command(tmp_path, "run", *SLOW)
    assert done.returncode == 0, done.stderr
    assert scores(tmp_path) == undisturbed


@pytest.mark.parametrize(
    "where",
    [pytest.param([], marks=pytest.mark.ray), pytest.param(["--local"], marks=pytest.mark.slow)],
    ids=["ray", "local"],
)
def test_ctrl_c_leaves_everything_resumable(tmp_path, undisturbed, where):
    code, errors = start_and_signal(tmp_path, signal.SIGINT, *where)
    assert code == 130
    assert re.search(r"Interrupted. 0 of 2 trials have their record, [12] their last checkpoint", errors)
    assert "Traceback" not in errors
    assert "interrupted" in call_command(tmp_path, "status", "s").stdout
    done = call_command(tmp_path, "run", *SLOW, "--local")
    assert done.returncode == 0, done.stderr
    assert scores(tmp_path) == undisturbed


@pytest.mark.ray
def test_the_tutorials_plugin_trains_on_ray(tmp_path, process):
    example = ROOT / "examples" / "my_vae.py"
    tutorial = (ROOT / "docs" / "tutorials" / "model.md").read_text()
    assert example.read_text() in tutorial, "the tutorial shows another plugin than examples/my_vae.py"
    assert len(example.read_text().splitlines()) < 60
    done = process("run", "--plugin", str(example), "--models", "my-vae", "--dataset", "tiny", "--name", "s",
                   "--set", "steps=20", *KIM)  # fmt: skip
    assert done.returncode == 0, done.stderr
    board = pd.read_csv(tmp_path / "results/s/leaderboard.csv").set_index("model")
    assert 0 <= board.loc["my-vae", "mean"] <= 1


def test_seeds_can_be_added(tmp_path, command):
    base = ["run", "--models", "gan", "--dataset", "tiny", "--name", "s", "--local", *QUICK]
    assert command(*base, "--seeds", "0").returncode == 0
    done = command(*base, "--seeds", "1-2")
    assert "3 trials, 1 done, 2 to run" in done.stdout
    assert set(pd.read_csv(tmp_path / "results/s/leaderboard.csv")["seeds"].dropna()) >= {3}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "quikstart"], "unknown preset or study 'quikstart'. Did you mean 'quickstart'?"),
        (["run", "--models", "gan"], "datasets is missing"),
        (["run", "--models", "gna", "--dataset", "tiny"], "unknown model 'gna'. Did you mean 'gan'?"),
        (["run", "--models", "gan", "--dataset", "tinny"], "unknown dataset 'tinny'. Did you mean 'tiny'?"),
        (["run", *STUDY, "--set", "gan.steps=-1"], "gan.steps = -1"),
        (["run", *STUDY, "--results", "file/below"], "can't be created"),
        (["run", *STUDY, "--plugin", "none.py"], "there is no such file"),
        (["run", *STUDY, "--plugin", "file.py"], "it can't be imported (SyntaxError"),
        (["run", *STUDY, "--local", "--gpus", "1"], "drop --address, --gpus"),
        (["run", *STUDY, "--seeds", "0-300000000"], "holds more than 100,000 seeds"),
        (["run", "--models", "gan", "--dataset", "tiny", "--name", "published"], "the name 'published' is taken"),
        (["run", *STUDY, "--set", "gan.ngf=1000000000"], "gan can't be built with this configuration"),
        (["run", *STUDY, "--dry-run", "--set", "batch_size=1000000000000"], "can't run with this configuration"),
        (["run", "--models", "infogan-cr", "--dataset", "tiny", "--set", "steps=9"], "ends before switch_step"),
        (
            [
                "run",
                "--models",
                "infogan-original",
                "--dataset",
                "tiny",
                "--set",
                "infogan-original.continuous=0",
                "--set",
                "infogan-original.categorical=[]",
            ],
            "there must be a code",
        ),
        (["run", *STUDY, "--set", "ib-gan.real_label_low=2"], "lies above real_label_high"),
        (["run", "binary.yaml"], "can't be read as YAML"),
        (["run", *STUDY, "--address", "127.0.0.1:1"], "no Ray cluster answers there"),
        (["status", "nothing"], "unknown study"),
        (["leaderboard", "nothing"], "unknown study"),
        (["score", "ffff"], "there is no such record"),
        (["score"], "either a TRIAL, or --codes with --factors"),
        (["score", "ffff", "--codes", "c.npy"], "either a TRIAL, or --codes with --factors"),
        (["score", "--codes", "c.npy"], "--factors is missing"),
        (["score", "--codes", "none.npz"], "there is no such file"),
        (["score", "--codes", "file", "--factors", "c.npy"], "--codes file can't be read as numbers"),
        (["score", "--codes", "one.npz"], "none is named 'factors'"),
        (["score", "--codes", "c.npy", "--factors", "c.npy"], "factors must be whole numbers"),
        (["score", "--codes", "c.npy", "--factors", "short.npy"], "each image needs both"),
        (["traverse", "ffff"], "there is no such record"),
        (["datasets", "prepare", "dsprits"], "unknown dataset 'dsprits'. Did you mean 'dsprites'?"),
        (["datasets", "prepare", "dsprites", "--data-root", "file/below"], "file"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(tmp_path, command, arguments, sentence):
    (tmp_path / "file").write_text("a file where a folder should be")
    (tmp_path / "file.py").write_text("this is no Python")
    (tmp_path / "binary.yaml").write_bytes(b"models: \xff\xfe")
    np.save(tmp_path / "c.npy", np.full((4, 2), 0.5))
    np.save(tmp_path / "short.npy", np.ones((3, 2), dtype=int))
    np.savez(tmp_path / "one.npz", codes=np.ones((4, 2)))
    assert sentence in mistake(command(*arguments))


def test_models_are_listed_with_their_players_and_published_sizes(command):
    done = command("models")
    assert done.returncode == 0, done.stderr
    text = done.stdout
    for size in ("discriminator 2,213,329", "vae 690,517", "discriminator 5,018,002", "generator 6,652,481"):
        assert size in text, text
    assert "infogan-original" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_leaderboard_without_records_is_not_written_over(tmp_path, command):
    assert command("run", *STUDY, "--local").returncode == 0
    board = tmp_path / "results/s/leaderboard.csv"
    before = board.read_bytes()
    for record in tmp_path.glob("results/runs/*/record.json"):
        record.unlink()
    assert "study 's' has no records" in mistake(command("leaderboard", "s"))
    assert board.read_bytes() == before


def test_people_who_bring_only_arrays(tmp_path, command):
    """Whatever the arrays lie in, the numbers are those of the function, and torch is never imported."""
    factors = np.stack(np.unravel_index(np.arange(240), (3, 8, 10)), axis=1)
    codes = factors + 0.3 * np.random.default_rng(0).standard_normal((240, 3))
    np.savez(tmp_path / "both.npz", codes=codes, factors=factors)
    np.save(tmp_path / "c.npy", codes)
    np.savez_compressed(tmp_path / "f.npz", factors)
    asked = ["--metric", "factor-vae/robust", "--metric", "mig/locatello", "--repeats", "3", "--out", "out.csv"]
    tables = []
    for files in (["--codes", "both.npz"], ["--codes", "c.npy", "--factors", "f.npz"]):
        done = command("score", *files, *asked)
        assert done.returncode == 0, done.stderr
        tables.append(pd.read_csv(tmp_path / "out.csv", dtype={"value": float}))
    assert tables[0].equals(tables[1])
    for metric, protocol in (("factor-vae", "robust"), ("mig", "locatello")):
        expected = score(metric, codes, factors, protocol, repeats=3)
        row = tables[0].query("metric == @metric and key == 'score'").iloc[0]
        assert (row["protocol"], row["value"], row["sampling"]) == (
            protocol, expected["score"], expected["sampling"]["score"],
        )  # fmt: skip
    imports = "import sys, disentangle_bench.cli.app, disentangle_bench.evaluation.scoring"
    loaded = f"{imports}; sys.exit(bool({{'torch', 'ray'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", loaded]).returncode == 0


def test_a_damaged_record_study_or_checkpoint_is_a_sentence(tmp_path, command):
    base = ["run", "--models", "gan", "--dataset", "tiny", "--name", "s", "--local", *QUICK]
    assert command(*base).returncode == 0
    record = next(tmp_path.glob("results/runs/*/record.json"))
    whole = record.read_text()
    record.write_text(whole[:100])
    assert "record.json is damaged" in mistake(command(*base))
    record.unlink()
    checkpoint = record.with_name("checkpoint.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert "checkpoint.pt is damaged or truncated" in mistake(command(*base))
    assert not record.exists(), "a mistake that can be mended is not a failed trial"
    checkpoint.unlink()
    assert command(*base).returncode == 0
    study = tmp_path / "results/s/study.yaml"
    study.write_text(study.read_text()[:80] + "\n{")
    assert "study.yaml is damaged" in mistake(command("status", "s"))


def test_a_full_disk_is_a_sentence_and_leaves_no_half_file(tmp_path):
    """A limit on file sizes makes the kernel refuse the checkpoint's bytes as a full disk does."""
    arguments = ["run", "--models", "gan", "--dataset", "tiny", "--name", "s", "--local", *QUICK]
    done = subprocess.run(
        command_line(tmp_path, *arguments), capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)), timeout=120,
    )  # fmt: skip
    assert "checkpoint.pt can't be written (File too large)" in mistake(done)
    assert not [path for path in tmp_path.glob("results/runs/*/*") if "partial" in path.name]
    assert call_command(tmp_path, *arguments).returncode == 0


def test_listings(command):
    for arguments, texts in (
        (["models"], ["gan", "infogan", "ib-gan", "faulty", "dsprites"]),
        (["metrics"], ["factor-vae", "beta-vae", "locatello"]),
        (["datasets"], ["dsprites", "tiny", "data root"]),
    ):
        done = command(*arguments)
        assert done.returncode == 0, done.stderr
        assert all(text in done.stdout for text in texts)
        assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_plugin_that_takes_a_built_in_name_is_refused(tmp_path, command):
    plugin = tmp_path / "mine.py"
    plugin.write_text((TESTS / "plugins/faulty.py").read_text().replace('name = "faulty"', 'name = "gan"'))
    assert "a model named 'gan' exists already" in mistake(command("models", "--plugin", str(plugin)))
    plugin.write_text("x = 1")
    assert "it defines no Model" in mistake(command("models", "--plugin", str(plugin)))


def test_the_python_interface_loads_a_trial_and_a_dataset(finished, data_root, place):
    from disentangle_bench import load_trial
    from disentangle_bench.datasets import load

    d = load("dsprites", data_root)
    images = d.images(d.index([[0, 5, 0, 16, 16], [2, 0, 39, 31, 31]]))
    assert (len(d), images.shape, images.dtype) == (737_280, (2, 1, 64, 64), np.uint8)
    assert set(np.unique(images)) == {0, 255}
    trial = load_trial(next(iter(scores(finished[0]))), results=finished[0] / "results")
    assert trial.encode(np.zeros((2, 1, 16, 16), dtype=np.uint8)).shape == (2, 10)
    for shape in ((2, 3, 16, 16), (2, 1, 64, 64), (0, 1, 16, 16)):
        with pytest.raises(UserError, match=r"must be uint8 \(N, 1, 16, 16\)"):
            trial.encode(np.zeros(shape, dtype=np.uint8))


def test_records_are_json_that_anyone_can_read(finished):
    for path in (finished[0] / "results/runs").glob("*/record.json"):
        content = json.loads(path.read_text())
        assert content["status"] == "finished"
        assert str(finished[0]) not in path.read_text(), "a path of this machine in a record"


@pytest.mark.slow
def test_a_sweep_is_told_apart_everywhere_and_can_be_extended(tmp_path, command):
    sweep = ["--models", "vae,beta-vae", "--dataset", "tiny", "--name", "s", "--local", *KIM, "--set", "steps=3"]
    done = command("run", *sweep, "--set", "sweep.beta-vae.beta=[1, 4]")
    assert done.returncode == 0, done.stderr
    done = command("run", *sweep, "--set", "sweep.beta-vae.beta=[4, 16]")
    assert "4 trials, 3 done, 1 to run" in done.stdout
    assert {"beta-vae(beta=1)", "beta-vae(beta=16)"} <= set(done.stdout.split())
    status = command("status", "s").stdout
    for beta in (1, 4, 16):
        assert f"beta-vae(beta={beta}) tiny seed 0: finished" in status
    pictures = sorted(path.name for path in (tmp_path / "results/s/traversals").iterdir())
    assert pictures == [*(f"beta-vae(beta={beta})_tiny_seed0.png" for beta in (1, 16, 4)), "vae_tiny_seed0.png"]
    table = pd.read_csv(tmp_path / "results/s/leaderboard.csv")
    assert set(table["configuration"].dropna()) == {"small-changed", *(f"small(beta={b})-changed" for b in (1, 4, 16))}


def test_the_command_says_its_version(process):
    done = process("--version", plugins=False)
    assert (done.returncode, done.stdout) == (0, f"disentangle-bench {disentangle_bench.__version__}\n")
