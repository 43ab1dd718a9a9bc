"""`run` and what stands beside it: studies that are gone on with, dry runs, presets, and how much is said."""

import errno
import fcntl
import json
import os
import signal
import subprocess

import pytest

from disentangle_bench.studies.config import preset_names
from tests.helpers import TESTS, command_line, environment, on_terminal

KIM = "metrics={factor-vae: [robust]}"
GAN = ["run", "--models", "gan", "--dataset", "tiny", "--name", "s", "--local", "--set", "steps=5", "--set", KIM]


@pytest.fixture
def study(tmp_path, command):
    """A study `s` with one finished trial."""
    done = command(*GAN)
    assert done.returncode == 0, done.stderr
    return tmp_path / "results" / "s"


def printed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mistake(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_study_is_gone_on_with_by_its_name_or_its_file(study, command):
    assert "s: 1 trials, 1 done, 0 to run" in printed(command("run", "s", "--local"))
    assert "s: 1 trials, 1 done, 0 to run" in printed(command("run", str(study / "study.yaml"), "--local"))
    assert "s: 3 trials, 1 done, 2 to run" in printed(command("run", "s", "--local", "--seeds", "1-2"))


@pytest.mark.parametrize("change", [["--models", "vae"], ["--dataset", "tiny-two"], ["--name", "t"], ["--set", "a=1"]])
def test_going_on_with_a_study_changes_nothing_but_seeds(study, command, change):
    sentence = mistake(command("run", "s", "--local", *change))
    assert f"{' '.join(change)}: study 's' exists" in sentence
    assert "--seeds" in sentence


def test_a_study_whose_plugin_has_changed_is_not_gone_on_with(tmp_path, command):
    plugin = tmp_path / "mine.py"
    source = (TESTS / "plugins" / "faulty.py").read_text().replace('name = "faulty"', 'name = "mine"')
    plugin.write_text(source)
    words = ["--plugin", str(plugin), "--local"]
    made = command("run", "--models", "mine", *GAN[3:], *words)
    assert made.returncode == 0, made.stderr
    assert "'mine' came from a plugin; give that with --plugin" in mistake(command("run", "s", "--local"))
    plugin.write_text(source + "\n# another version\n")
    assert "the plugin of mine has changed since study 's' was planned" in mistake(command("run", "s", *words))


def test_what_a_study_holds_beyond_what_was_asked_for_is_said(study, command):
    done = command(*GAN, "--seeds", "3")
    assert "2 trials, 1 done, 1 to run" in printed(done)
    assert "Note: study 's' also holds 1 trial more (gan on tiny, seed 0)" in done.stderr
    assert "--name" in done.stderr


def test_a_metric_added_to_finished_trials_is_something_to_score_and_priced_so(study, command):
    words = [*GAN[:-1], "metrics={factor-vae: [robust], mig: [robust]}"]
    dry = printed(command(*words, "--dry-run"))
    assert "1 trials, 0 done, 1 to score: about 3 s" in dry  # three seeds of one protocol; nothing is trained
    assert "0 MB on disk" in dry
    assert "mig (robust)" in dry
    assert "1 trials, 0 done, 1 to score" in printed(command(*words))


def test_a_dry_run_prepares_nothing_and_says_what_to_prepare(tmp_path, command):
    words = ["run", "--models", "gan", "--dataset", "cars3d", "--seeds", "0-4,7", "--set", "comparisons={udr: [lasso]}"]
    text = printed(command(*words, "--dry-run", "--data-root", str(tmp_path / "data")))
    for part in ("0-4,7", "6 trials", "Not prepared yet: cars3d", "datasets prepare cars3d", "udr (lasso)"):
        assert part in text
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "results").exists()


def test_a_mistyped_run_leaves_nothing_behind(tmp_path, command):
    mistake(command("run", "--models", "gan", "--dataset", "tiny", "--name", "s", "--set", "gan.ngf=1000000000"))
    mistake(command("run", "--models", "gan", "--dataset", "tiny", "--name", "s", "--set", "metrics.mig=rubust"))
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--set", "beta=4"], "say --set beta-vae.beta=4"),
        (["--set", "bta=4"], "unknown setting 'bta'. Did you mean 'beta-vae.beta'?"),
        (["--set", "beta-vae.bta=4"], "Did you mean 'beta'?"),
        (["--set", "bata-vae.beta=4"], "Did you mean 'beta-vae'?"),
        (["--name", "a b"], "name = 'a b': a study's name has letters, digits and . _ + - only"),
    ],
)
def test_a_setting_is_guessed_by_its_field(command, words, sentence):
    assert sentence in mistake(command("run", "--models", "gan,beta-vae", "--dataset", "tiny", *words))


def test_ctrl_c_before_the_first_checkpoint_says_that_nothing_is_kept(tmp_path):
    words = ["run", "--models", "faulty", "--dataset", "tiny", "--name", "s", "--local", "--set", "steps=400"]
    process = subprocess.Popen(
        command_line(tmp_path, *words, "--set", "faulty.pause=0.1"), env=environment(tmp_path), cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not any(json.loads(p.read_text())["phase"] == "train" for p in tmp_path.glob("results/runs/*/progress.json")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "0 of 1 trials have their record, 1 nothing yet and will begin at step 0." in errors


def test_a_finished_trial_without_a_score_of_that_name_shows_what_it_has(tmp_path, command):
    text = printed(command(*GAN[:-1], "metrics={unsupervised: [robust]}"))
    assert "finished: unsupervised/robust" in text


def test_the_presets_are_listed_and_printed(command, tmp_path):
    text = printed(command("presets", plugins=False))
    assert all(name in text for name in preset_names())
    assert max(map(len, text.splitlines())) <= 100
    (tmp_path / "mine.yaml").write_text(printed(command("presets", "mini", plugins=False)))
    assert "40 trials" in printed(command("run", "mine.yaml", "--dry-run", "--data-root", "nowhere"))
    assert "Did you mean 'mini'?" in mistake(command("presets", "mimi", plugins=False))


def test_all_studies_are_listed_the_damaged_ones_too(study, command):
    assert "no studies under" in printed(command("status", "--results", "elsewhere"))
    text = printed(command("status"))
    assert "finished" in text
    assert "running" not in text, "a column in which nothing stands"
    broken = study.parent / "broken" / "study.yaml"
    broken.parent.mkdir()
    broken.write_text("format: 1")
    done = command("status")
    assert done.returncode == 2
    assert "damaged" in done.stdout
    assert f"{broken.name} is damaged" in done.stderr.replace("\n", "")


def test_a_study_of_somebody_elses_names_no_place_outside_the_results(study, command, tmp_path):
    """Its name is a folder's, and everything it says is checked before a byte is written."""
    text = (study / "study.yaml").read_text()
    (tmp_path / "theirs.yaml").write_text(text.replace("name: s\n", "name: ../../outside\n"))
    assert "theirs.yaml is damaged (a study's name has letters" in mistake(command("run", "theirs.yaml", "--local"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "study.yaml").write_text(text)
    for words in (("status", "../elsewhere"), ("leaderboard", "../elsewhere"), ("run", "../elsewhere", "--local")):
        assert "unknown" in mistake(command(*words))
    assert [path.name for path in elsewhere.iterdir()] == ["study.yaml"]
    assert not list(tmp_path.parent.glob("outside"))
    record = next(study.parent.glob("runs/*/record.json"))
    content = json.loads(record.read_text())
    del content["sha256"]  # as of an earlier version
    record.write_text(json.dumps(content | {"id": "../../x"}))
    assert "(id: String should match pattern" in mistake(command("leaderboard", "s"))


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_says_results_alone(tmp_path, command, place):
    words = ["--quiet", *GAN] if place == "before" else [*GAN, "--quiet"]
    done = command(*words, "--score-every", "2")
    assert "[1/1]" not in printed(done)
    assert "mean ± sd" in done.stdout
    assert done.stderr == ""


def test_a_dumb_terminal_gets_plain_lines(tmp_path):
    status, text = on_terminal(tmp_path, *GAN, TERM="dumb", COLUMNS="60")
    assert status == 0
    assert "[1/1]" in text
    assert "\x1b" not in text


def test_help_is_grouped_with_an_example_for_each_command(command):
    text = printed(command("--help", plugins=False))
    for group in ("Studies", "Single trials and codes", "What there is", "--install-completion"):
        assert group in text
    single = (
        "run",
        "tune",
        "status",
        "leaderboard",
        "score",
        "traverse",
        "why",
        "presets",
        "models",
        "metrics",
        "check",
    )
    for name in (*single, "datasets prepare", "datasets verify", "datasets show"):
        page = printed(command(*name.split(), "--help", plugins=False))
        assert "Example: disentangle-bench" in " ".join(page.split())
        assert "--quiet" in page


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO])
def test_a_results_folder_without_locks_is_told(command, monkeypatch, tmp_path, number):
    """As a network file system without its lock service answers; that can't be mounted in a test."""

    def refuse(fd, operation):
        raise OSError(number, os.strerror(number))

    assert command(*GAN).returncode == 0
    monkeypatch.setattr(fcntl, "flock", refuse)
    done = command(*GAN, "--seeds", "7")
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert (done.returncode, f"lock can't be locked ({os.strerror(number)})" in line, "--results" in line) == (
        2,
        True,
        True,
    )
    assert command("status", "s").returncode == 0, "what only looks needs no lock"
