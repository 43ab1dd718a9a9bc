"""A search over settings: drawn from the declared space, judged without labels, resumable, and useful to a study."""

import shlex

import numpy as np
import pandas as pd
import pytest

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.models.base import Between
from disentangle_bench.studies import search
from disentangle_bench.studies.config import load_study
from disentangle_bench.studies.search import FAILED, Candidate, Outcome

FEW = ["--dataset", "tiny", "--set", "steps=9", "--set", "batch_size=8", "--samples", "6", "--local"]


def drawn(place, samples=6, seed=0, model="beta-vae", seeds="0-1"):
    study = load_study(None, {"models": model, "datasets": "tiny", "seeds": seeds, "name": "t"}, ["steps=9"])
    return search.candidates(study, {"tiny": registry.get("dataset", "tiny")(place.data)}, samples, seed)


def test_candidates_are_drawn_from_the_declared_space_and_repeat(place):
    first, again, other = drawn(place, 40), drawn(place, 40), drawn(place, 40, seed=1)
    assert [each.values for each in first] == [each.values for each in again]
    assert [each.values for each in first] != [each.values for each in other]
    for each in first:
        assert 1 <= each.values["beta"] <= 16
        assert 1e-4 <= each.values["lr"] <= 3e-3
        assert [trial.config["beta"] for trial in each.trials] == [each.values["beta"]] * 2
        assert [trial.seed for trial in each.trials] == [0, 1]
    betas = np.log([each.values["beta"] for each in first])
    assert 0.2 < (betas < np.log(4)).mean() < 0.8, "half of a logarithmic range lies below its geometric middle"


def test_draws():
    rng = np.random.default_rng(0)
    assert {search.draw(("a", "b"), rng) for _ in range(30)} == {"a", "b"}
    assert all(2 <= search.draw(Between(2, 3, log=False), rng) <= 3 for _ in range(30))


def test_every_search_space_names_fields_and_holds_ranges_that_the_model_takes(place):
    for name in registry.BUILT_IN["model"]:
        cls = registry.get("model", name)
        assert cls.search_space, name
        for field, choices in cls.search_space.items():
            config = cls.configurations["small"]
            for value in (choices.low, choices.high) if isinstance(choices, Between) else choices:
                cls.Config.model_validate(config.model_dump() | {field: value})


def test_budgets_grow_by_three():
    assert search.rungs(2_500) == [277, 831, 2_500]
    with pytest.raises(UserError, match="9 steps or more, not 8"):
        search.rungs(8)


def test_successive_halving_keeps_the_best_third():
    """Nine candidates whose objective is their number: 9 at the first rung, 3 at the second, 1 at the third."""
    candidates = [Candidate(n, {}, []) for n in range(9)]

    def train(candidate):
        for steps in (1, 3, 9):
            yield Outcome(candidate.number, steps, float(candidate.number))

    found = list(search.halve(candidates, [1, 3, 9], train, keep_all=False))
    assert [each.candidate for each in found if each.steps == 3] == [8, 7, 6]
    assert [each.candidate for each in found if each.steps == 9] == [8]
    assert len(list(search.halve(candidates, [1, 3, 9], train, keep_all=True))) == 27


def test_a_diverged_candidate_is_never_kept_and_stands_last():
    candidates = [Candidate(n, {"beta": n}, []) for n in range(3)]

    def train(candidate):
        yield Outcome(candidate.number, 1, FAILED if candidate.number == 2 else 0.1 * candidate.number)
        yield Outcome(candidate.number, 3, 0.5)

    found = list(search.halve(candidates, [1, 3], train, keep_all=False))
    assert [each.candidate for each in found if each.steps == 3] == [1]
    table = search.outcomes_table(candidates, found, "udr")
    assert table["candidate"].tolist() == [1, 0, 2]
    assert table["outcome"].tolist() == ["judged", "judged", "diverged"]
    assert pd.isna(table["value"].iloc[2])


@pytest.mark.parametrize(
    ("name", "labels", "sentence"),
    [
        ("udrr", False, "unknown objective 'udrr'. Did you mean 'udr'"),
        ("mig/robust", False, "sees the factors, so the winner is chosen with labels; say --labels"),
        ("mig/robus", True, "unknown protocol of mig 'robus'"),
        ("unsupervised/robust", True, "is better when lower"),
    ],
)
def test_an_objective_that_is_not_one_is_a_sentence(name, labels, sentence):
    with pytest.raises(UserError) as caught:
        search.objective_named(name, labels)
    assert sentence in str(caught.value)


def test_a_search_ends_with_the_study_to_run_and_its_training_is_not_repeated(tmp_path, command):
    done = command("tune", "beta-vae", *FEW)
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(tmp_path / "results/tune_beta-vae_tiny/tune.csv")
    assert len(table) == 6
    assert table["steps"].tolist() == sorted(table["steps"], reverse=True)
    assert table["steps"].value_counts().to_dict() == {9: 1, 3: 1, 1: 4}
    assert not table["labels"].any()
    assert table["value"].between(0, 1).all()
    best = table.iloc[0]
    assert f"beta {best['beta']}" in done.stdout
    checkpoints = sorted(tmp_path.glob("results/runs/*/checkpoint.pt"))
    before = {path: path.stat().st_mtime_ns for path in checkpoints}
    assert command("tune", "beta-vae", *FEW).returncode == 0
    assert pd.read_csv(tmp_path / "results/tune_beta-vae_tiny/tune.csv").equals(table), "what was judged is not again"
    (last,) = (line for line in done.stdout.splitlines() if line.startswith("run it"))
    words = shlex.split(last.removeprefix("run it   disentangle-bench").replace("--seeds 0-9", "--seeds 0-1"))
    done = command(*words, "--local", "--set", "metrics={mig: [robust]}")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in checkpoints} == before, "what the search trained is trained"
    records = [path.parent for path in tmp_path.glob("results/runs/*/record.json")]
    assert all((folder / "checkpoint.pt") in before for folder in records)


@pytest.mark.slow
@pytest.mark.ray
def test_a_search_on_ray_by_information_and_with_labels(tmp_path, command, process):
    few = [word for word in FEW if word != "--local"]
    done = process("tune", "ib-gan", *few, "--samples", "3", "--seeds", "0", "--objective", "information", "--random")
    assert done.returncode == 0, done.stdout + done.stderr
    assert pd.read_csv(tmp_path / "results/tune_ib-gan_tiny/tune.csv")["steps"].tolist() == [9, 9, 9]
    done = command("tune", "vae", *FEW, "--samples", "2", "--objective", "mig/robust", "--labels", "--seeds", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Chosen with labels" in done.stdout
    assert pd.read_csv(tmp_path / "results/tune_vae_tiny/tune.csv")["labels"].all()


@pytest.mark.slow
def test_model_centrality_is_an_objective(tmp_path, command):
    done = command("tune", "ib-gan", *FEW, "--samples", "1", "--objective", "model-centrality")
    assert done.returncode == 0, done.stdout + done.stderr
    assert 0 <= pd.read_csv(tmp_path / "results/tune_ib-gan_tiny/tune.csv")["value"].iloc[0] <= 1


def test_a_search_that_cannot_be_is_a_sentence(command):
    for arguments, sentence in (
        (["tune", "beta-vae", *FEW, "--seeds", "0"], "compares the seeds of a candidate; give two or more"),
        (["tune", "faulty", *FEW], "faulty declares no search_space"),
        (["tune", "beta-vae", *FEW, "--objective", "mig/robust"], "say --labels"),
        (["tune", "vae", *FEW, "--objective", "information"], "vae has no lower bound on information"),
    ):
        done = command(*arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        assert sentence in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
