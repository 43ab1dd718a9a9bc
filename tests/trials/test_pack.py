"""Seeds that take turns in one process: the same bytes as alone, whatever happens to one of them."""

import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from disentangle_bench import registry
from disentangle_bench.cli.options import pack_size
from disentangle_bench.errors import UserError
from disentangle_bench.studies.config import load_study, resolve_trials
from disentangle_bench.training.checkpoints import load_checkpoint
from disentangle_bench.training.process import set_up_process
from disentangle_bench.training.trainer import Intervals
from disentangle_bench.trials.attempt import Attempt
from disentangle_bench.trials.pack import cell_of, packs, run_pack
from disentangle_bench.trials.pending import Scoring, TrialOptions
from disentangle_bench.trials.probe import best_size, choose, measure
from disentangle_bench.trials.records import Record, Workspace, read_record
from disentangle_bench.trials.scorers import Scorers
from disentangle_bench.trials.spec import TrialSpec
from disentangle_bench.trials.trial import run_trial
from tests.helpers import call_command, command_line, environment, run_command

OPTIONS = TrialOptions(Scoring({"factor-vae": ["robust"]}), Intervals(log=3, diagnose=6, checkpoint_seconds=0))
STUDY = ["run", "--dataset", "tiny", "--name", "s", "--set", "metrics={factor-vae: [robust]}"]


def trials(place: Workspace, model: str, seeds: str, *settings: str) -> list[TrialSpec]:
    changes = {"models": model, "datasets": "tiny", "seeds": seeds, "name": "study"}
    study = load_study(None, changes, ["steps=12", "batch_size=8", *settings])
    return resolve_trials(study, {"tiny": registry.get("dataset", "tiny")(place.data)})


def elsewhere(place: Workspace, tmp_path: Path) -> Workspace:
    return replace(place, results=tmp_path / "elsewhere")


def results(place: Workspace, trial: TrialSpec) -> tuple[bytes, ...]:
    """What must not depend on company: weights, optimisers and generators, codes, curves, scores."""
    folder = place.trial(trial.id)
    state = load_checkpoint(folder / "checkpoint.pt", trial.id)
    optimisers = [o["state"][i][key] for o in state["optimisers"].values() for i in o["state"] for key in o["state"][i]]
    tensors = [*state["model"].values(), *optimisers, state["rng"], state["global_rng"]]
    files = [(folder / name).read_bytes() for name in ("codes.npy", "curves.csv", "traversal.png")]
    scores = read_record(place.record(trial.id)).canonical_scores().encode()
    return (*(tensor.contiguous().numpy().tobytes() for tensor in tensors), *files, scores)


def records(place: Workspace, asked: list[TrialSpec]) -> list[Record]:
    return [read_record(place.record(trial.id)) for trial in asked]


def test_trials_of_different_cells_are_never_packed_together(place):
    asked = trials(place, "gan,ib-gan", "0-4")
    other = trials(place, "gan", "0-1", "gan.ngf=12")
    sizes = dict(zip(map(cell_of, (asked[0], asked[5], other[0])), (2, 4, 4), strict=True))
    groups = packs([*asked, *other], sizes)
    seeds = [(group[0].model, [trial.seed for trial in group]) for group in groups]
    assert seeds == [
        ("gan", [0, 1]), ("gan", [2, 3]), ("gan", [4]), ("ib-gan", [0, 1, 2, 3]), ("ib-gan", [4]), ("gan", [0, 1]),
    ]  # fmt: skip
    assert all(len({cell_of(trial) for trial in group}) == 1 for group in groups)


@pytest.mark.parametrize(
    ("model", "settings"),
    [("ib-gan", []), ("faulty", ["faulty.dropout=0.5"]), ("infogan-cr", ["infogan-cr.switch_step=7"])],
    ids=["one phase", "dropout from the global generator", "phases and an event"],
)
def test_packed_trials_have_the_bytes_of_the_same_trials_alone(place, tmp_path, model, settings):
    asked, alone = trials(place, model, "0-2", *settings), elsewhere(place, tmp_path)
    before = torch.get_rng_state()
    assert run_pack(asked, place, OPTIONS) == []
    assert torch.equal(torch.get_rng_state(), before), "the process's own state is put back"
    for trial in asked:
        run_trial(trial, alone, OPTIONS)
        assert results(place, trial) == results(alone, trial)
    assert {record.engine for record in records(place, asked)} == {"eager; in a pack of 3"}
    assert {record.engine for record in records(alone, asked)} == {"eager"}
    assert len({results(place, trial) for trial in asked}) == 3


def test_scored_by_other_processes_trials_have_the_bytes_of_the_same_trials_alone(place, tmp_path):
    asked, alone = trials(place, "vae", "0-2"), elsewhere(place, tmp_path)
    with Scorers(2, place, OPTIONS) as scorers:
        assert run_pack(asked, place, OPTIONS, scorers) == []
        assert scorers.wait() == []
    for trial in asked:
        run_trial(trial, alone, OPTIONS)
        assert results(place, trial) == results(alone, trial)
    seconds = [set(record.seconds) for record in records(place, asked)]
    assert seconds == [{"train", "encode", "score/factor-vae/robust"}] * 3


def test_leaving_the_scorers_ends_them_and_a_second_run_scores_what_they_left(place):
    asked = trials(place, "vae", "0-1")
    with Scorers(1, place, OPTIONS) as scorers:
        run_pack(asked, place, OPTIONS, scorers)
        deadline = time.monotonic() + 30
        while not scorers.running and time.monotonic() < deadline:
            time.sleep(0.01)
        [process] = scorers.running
    assert process.poll() is not None
    assert [record.scores for record in records(place, asked)] == [{}, {}]
    assert run_pack(asked, place, OPTIONS) == []
    assert all("factor-vae" in record.scores for record in records(place, asked))


def test_scoring_stored_codes_makes_no_trainer_and_so_holds_no_device(place, monkeypatch):
    [trial] = trials(place, "vae", "0")
    run_trial(trial, place, replace(OPTIONS, scoring=Scoring({})))
    monkeypatch.setattr(Attempt, "trainer", None)
    record = run_trial(trial, place, OPTIONS)
    assert "score" in record.scores["factor-vae"]["robust"]


def test_a_diverging_trial_leaves_the_others_alone(place, tmp_path):
    asked = trials(place, "faulty", "0-5", "faulty.diverge_at=7", "faulty.only_unlucky=true")
    assert run_pack(asked, place, OPTIONS) == []
    fates = {trial.id: record.status for trial, record in zip(asked, records(place, asked), strict=True)}
    assert set(fates.values()) == {"finished", "diverged"}
    survivor = next(trial for trial in asked if fates[trial.id] == "finished")
    run_trial(survivor, elsewhere(place, tmp_path), OPTIONS)
    assert results(place, survivor) == results(elsewhere(place, tmp_path), survivor)


def test_a_crashing_trial_leaves_the_others_alone(place):
    asked = trials(place, "faulty", "0-5", "faulty.crash_at=7", "faulty.only_unlucky=true")
    assert run_pack(asked, place, OPTIONS) == []
    found = records(place, asked)
    assert {record.status for record in found} == {"finished", "failed"}
    assert all("planned crash" in record.traceback for record in found if record.status == "failed")


def test_a_trial_that_only_the_user_can_mend_leaves_the_others_alone(place):
    asked = trials(place, "vae", "0-2")
    place.trial(asked[1].id).mkdir(parents=True)
    (place.trial(asked[1].id) / "checkpoint.pt").write_bytes(b"damaged")
    [mistake] = run_pack(asked, place, OPTIONS)
    assert mistake.startswith("vae tiny seed 1: checkpoint ")
    assert [place.record(trial.id).exists() for trial in asked] == [True, False, True]


def test_a_trial_with_a_record_is_left_out(place):
    asked = trials(place, "vae", "0-2")
    run_trial(asked[1], place, OPTIONS)
    before = {path: path.stat().st_mtime_ns for path in place.trial(asked[1].id).iterdir() if path.name != "lock"}
    assert run_pack(asked, place, OPTIONS) == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [record.status for record in records(place, asked)] == ["finished"] * 3


def test_a_trial_that_another_process_works_on_is_waited_for_last(place):
    asked = trials(place, "vae", "0-2")
    place.trial(asked[0].id).mkdir(parents=True)
    code = """if True:
        import sys, time, filelock
        with filelock.FileLock(sys.argv[1]):
            print("held", flush=True)
            time.sleep(2)"""
    lock = str(place.trial(asked[0].id) / "lock")
    with subprocess.Popen([sys.executable, "-c", code, lock], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        assert run_pack(asked, place, OPTIONS) == []
    times = [place.record(trial.id).stat().st_mtime for trial in asked]
    assert max(times) == times[0]
    assert [record.engine for record in records(place, asked)] == ["eager", *["eager; in a pack of 3"] * 2]


def test_where_memory_runs_out_fewer_are_packed_and_the_records_say_so(place, tmp_path, capsys):
    """A model of which only two fit in memory, so a pack of four ends as two packs of two."""
    asked = trials(place, "faulty", "0-3", "faulty.room=2")
    assert run_pack(asked, place, OPTIONS) == []
    assert "memory ran out in a pack of 4" in capsys.readouterr().err
    found = records(place, asked)
    assert [record.status for record in found] == ["finished"] * 4
    assert {"eager; in a pack of 2; memory ran out in a pack of 4"} <= {record.engine for record in found}
    for trial in asked:
        run_trial(trial, elsewhere(place, tmp_path), OPTIONS)
        assert results(place, trial) == results(elsewhere(place, tmp_path), trial)


def test_alone_a_lack_of_memory_is_a_crash_like_any_other(place):
    other = registry.get("model", "faulty")
    [trial] = trials(place, "faulty", "0", "faulty.room=1")
    occupant = other(other.configurations["small"], (1, 16, 16))
    assert run_pack([trial], place, OPTIONS) == []
    [record] = records(place, [trial])
    assert record.status == "failed"
    assert record.cause.startswith("OutOfMemoryError: planned: 2 models in memory, at faulty.py:")
    assert occupant.alive


def written(folder: Path) -> dict[str, Record]:
    paths = sorted((folder / "results/runs").glob("*/record.json"))
    return {path.parent.name: read_record(path) for path in paths}


def equal_those_alone(found: dict[str, Record], place: Workspace) -> bool:
    """Whether these records' scores are those of the same trials, each run alone here."""
    options = replace(OPTIONS, scoring=Scoring({"factor-vae": ["robust"]}, repeats=3))
    return all(
        run_trial(record.spec, place, options).canonical_scores() == record.canonical_scores()
        for record in found.values()
    )


without_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.mark.parametrize(
    ("call", "where"),
    [(call_command, ["--local"]), pytest.param(run_command, [], marks=[without_ray, pytest.mark.ray])],
    ids=["local", "ray"],
)
def test_the_command_packs_with_ray_and_without(place, tmp_path, call, where):
    words = ["--models", "vae,faulty", "--seeds", "0-2", "--set", "steps=5"]
    done = call(tmp_path, *STUDY, *words, "--pack", "2", *where)
    assert done.returncode == 0, done.stderr
    found = written(tmp_path)
    engines = sorted(record.engine for record in found.values())
    assert engines == ["eager", "eager", *["eager; in a pack of 2"] * 4]
    assert equal_those_alone(found, elsewhere(place, tmp_path))


def test_a_pack_killed_in_training_and_run_again_gives_the_same_scores(place, tmp_path):
    words = [*STUDY, "--models", "faulty", "--seeds", "0-2", "--local", "--pack", "3", "--set", "steps=30",
             "--set", "faulty.pause=0.02", "--set", "faulty.dropout=0.5",
             "--set", "intervals.checkpoint_seconds=0.2"]  # fmt: skip
    killed = subprocess.Popen(
        command_line(tmp_path, *words), env=environment(tmp_path), cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("results/runs/*/checkpoint.pt"))) < 3:
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert written(tmp_path) == {}
    again = call_command(tmp_path, *words)
    assert again.returncode == 0, again.stderr
    found = written(tmp_path)
    assert len(found) == 3
    assert equal_those_alone(found, elsewhere(place, tmp_path))


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_pack_that_is_no_number_gets_a_sentence(value):
    with pytest.raises(UserError, match=rf"--pack {value}: give a number of trials from 1 up, or auto"):
        pack_size(value)


def test_auto_packs_one_on_a_cpu(place):
    assert pack_size("auto") == "auto"
    assert best_size(trials(place, "vae", "0")[0], place) == 1


def test_the_smallest_pack_that_pays_is_chosen():
    assert choose({1: 100.0, 2: 190.0, 4: 280.0, 8: 310.0, 16: 312.0}) == 8
    assert choose({1: 100.0, 2: 101.0}) == 1
    assert choose({}) == 1


def test_the_probe_measures_as_many_as_fit_and_says_why_no_more(place, capsys):
    [trial] = trials(place, "faulty", "0", "faulty.room=2")
    rates = measure(trial, place, sizes=(1, 2, 4), seconds=0.1)
    assert list(rates) == [1, 2]
    assert min(rates.values()) > 0
    assert "ended after packs of 2: torch.OutOfMemoryError: planned: 4 models in memory" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.parametrize("mode", ["eager", "captured"])
@pytest.mark.parametrize(("model", "settings"), [("ib-gan", []), ("cgan", ["cgan.dropout=0.5"])])
def test_packed_trials_have_the_bytes_of_the_same_trials_alone_on_a_gpu(place, tmp_path, model, settings, mode):
    """Under deterministic numerics; without, some of CUDA's kernels add in no fixed order."""
    asked = trials(place, model, "0-3", "numerics.device=cuda", f"numerics.mode={mode}",
                   "numerics.deterministic=true", *settings)  # fmt: skip
    try:
        assert run_pack(asked, place, OPTIONS) == []
        for trial in asked:
            alone = elsewhere(place, tmp_path)
            run_trial(trial, alone, OPTIONS)
            assert results(place, trial) == results(alone, trial)
            assert read_record(place.record(trial.id)).engine == f"{mode}; in a pack of 4"
    finally:
        set_up_process()


@pytest.mark.gpu
def test_a_pack_of_trials_that_can_not_be_captured_trains_on_a_gpu(place):
    asked = trials(place, "faulty", "0-2", "numerics.device=cuda", "faulty.dropout=0.5")
    assert run_pack(asked, place, OPTIONS) == []
    records = [read_record(place.record(trial.id)) for trial in asked]
    assert {record.status for record in records} == {"finished"}
    assert all("not captured: " in record.engine for record in records)
