"""One protocol is meant wherever none is named: `robust`, or a metric's first where it has no such."""

import inspect

import numpy as np
import pytest

from disentangle_bench import registry
from disentangle_bench.contracts import CodeTable, Dataset, Metric
from disentangle_bench.errors import UserError
from disentangle_bench.evaluation.scoring import protocols, score_rows
from disentangle_bench.metrics import score, score_encoder, score_table
from disentangle_bench.metrics.model_centrality import model_centrality
from disentangle_bench.metrics.udr import udr
from disentangle_bench.studies import search
from disentangle_bench.studies.config import StudyConfig, load_study
from disentangle_bench.studies.plan import WITHOUT_FACTORS

FACTORS = np.stack(np.unravel_index(np.arange(240), (3, 8, 10)), axis=1)
CODES = FACTORS + 0.4 * np.random.default_rng(0).standard_normal((240, 3))
TABLE = CodeTable(CODES, FACTORS)


def study(*settings: str) -> StudyConfig:
    return load_study(None, {"models": "vae", "datasets": "dsprites-32"}, list(settings))


class Grid(Dataset):
    """Each image is its factors."""

    name, description = "grid", "a grid for tests"
    image_shape = (3, 1, 1)
    factor_names, factor_sizes = ("a", "b", "c"), (3, 8, 10)

    def __init__(self) -> None:
        self.rows = FACTORS.astype(np.uint8)[:, :, None, None]
        self.checksum = "0" * 64


def test_it_is_robust_or_the_first() -> None:
    for kind in ("metric", "comparison"):
        for name in registry.BUILT_IN[kind]:
            item = registry.get(kind, name)
            known = list(item.protocols)
            assert item.default_protocol == ("robust" if "robust" in known else known[0])
    for name in set(registry.metrics_of(Metric)) & set(registry.BUILT_IN["metric"]):
        assert registry.get("metric", name).default_protocol == "robust"
    assert registry.get("metric", "fid").default_protocol == "inception-10k"


@pytest.mark.parametrize("metric", ["mig", "factor-vae", "sap"])
def test_functions_and_command_agree(metric: str) -> None:
    robust = score(metric, CODES, FACTORS, "robust")
    assert score(metric, CODES, FACTORS) == robust
    assert score_table(metric, TABLE) == robust
    assert {row.protocol: row.value for row in score_rows(TABLE, [metric]) if row.key == "score"} == {
        "robust": robust["score"]
    }
    encoded = score_encoder(lambda images: images[:, :, 0, 0], Grid(), [metric])[metric]
    assert encoded == score(metric, FACTORS, FACTORS, "robust")
    assert score(metric, CODES, FACTORS, "locatello") != robust, "a protocol that is named is that one"


def test_a_study_that_names_no_protocol_gets_it() -> None:
    assert study().metrics == {name: [registry.get("metric", name).default_protocol] for name in study().metrics}
    assert {n: [registry.get("metric", n).default_protocol] for n in WITHOUT_FACTORS} == WITHOUT_FACTORS
    assert study("metrics=[mig, fid]").metrics == {"mig": ["robust"], "fid": ["inception-10k"]}
    assert study("metrics=mig,sap").metrics == {"mig": ["robust"], "sap": ["robust"]}
    assert study("metrics.mig=").metrics == {"mig": ["robust"]}
    assert study("comparisons=[udr, model-centrality]").comparisons == {
        "udr": ["lasso"],
        "model-centrality": ["infogan-cr"],
    }


def test_all_is_every_protocol_and_words_add_up() -> None:
    every = ["locatello", "infogan-cr", "robust"]
    assert protocols("mig/all") == [("mig", protocol) for protocol in every]
    assert study("metrics=[mig/all]").metrics == {"mig": every}
    assert study("metrics.mig=all").metrics == {"mig": every}
    assert study("metrics=[mig/robust, mig/all, sap]").metrics == {
        "mig": ["robust", "locatello", "infogan-cr"],
        "sap": ["robust"],
    }
    assert study("metrics=[sap]", "metrics.mig=locatello").metrics == {"sap": ["robust"], "mig": ["locatello"]}


def test_lists_in_a_study_file_mean_what_they_say() -> None:
    assert load_study("mini", {}, []).metrics == {
        "factor-vae": ["robust", "locatello"], "beta-vae": ["robust"], "mig": ["robust"], "dci": ["robust"],
    }  # fmt: skip
    assert load_study("mini", {}, []).comparisons == {"udr": ["spearman"]}


def test_a_search_by_a_metric_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "by_metric", lambda trainers, metric, protocol: (metric, protocol))
    assert search.objective_named("mig", labels=True)([]) == ("mig", "robust")
    assert search.objective_named("mig/locatello", labels=True)([]) == ("mig", "locatello")
    with pytest.raises(UserError, match="'mig/all' is 3 protocols; a search raises one number"):
        search.objective_named("mig/all", labels=True)


def test_comparisons_called_from_python_use_it() -> None:
    for function, name in ((udr, "udr"), (model_centrality, "model-centrality")):
        default = inspect.signature(function).parameters["protocol"].default
        assert default == registry.get("comparison", name).default_protocol


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: score("mig", CODES, FACTORS, "robst"), "'robst'. Did you mean 'robust'? Known: infogan-cr, loc"),
        (lambda: score("mig", CODES, FACTORS, "all"), "unknown protocol of mig 'all'"),
        (lambda: protocols("mig/robst"), "'robst'. Did you mean 'robust'? Known: infogan-cr, locatello, robust"),
        (lambda: protocols("mig/"), "unknown protocol of mig ''"),
        (lambda: protocols("fid"), "fid judges images, not codes"),
        (lambda: protocols("udr"), "--set comparisons.udr=lasso"),
        (lambda: score("udr", CODES, FACTORS), "udr compares the seeds of a study with one another"),
        (lambda: study("metrics=[udr]"), "under `comparisons` in the study file"),
        (lambda: study("comparisons=[mig]"), "mig scores each model by itself"),
        (lambda: study("metrics=[mig/robst]"), "unknown protocol of mig 'robst'. Did you mean 'robust'?"),
        (lambda: study("metrics=[mgi]"), "unknown metric 'mgi'. Did you mean 'mig'?"),
        (lambda: study("metrics=3"), "metrics = 3: input should be a valid dictionary"),
        (lambda: study("metrics.mig=[]"), "metrics.mig = []: value should have at least 1 item"),
        (lambda: study("metrics.mig=[[robust]]"), "metrics.mig.0 = ['robust']: input should be a valid string"),
    ],
)
def test_a_mistake_names_what_there_is(ask, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        ask()
    assert sentence in str(caught.value)
