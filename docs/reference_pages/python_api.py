"""The public names of the package, by what one does with them; mkdocstrings shows each from its docstring."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One page: public names, each after the module that it is imported from."""

    title: str
    intro: str
    names: tuple[str, ...]


PARTS = {
    "datasets": Part(
        "Datasets",
        "Images and factors by a dataset's name; and the base of datasets that lie in one prepared file.",
        (
            "disentangle_bench.datasets.load",
            "disentangle_bench.datasets.names",
            "disentangle_bench.datasets.data_root",
            "disentangle_bench.datasets.stored.StoredDataset",
            "disentangle_bench.datasets.stored.Reading",
        ),
    ),
    "scores": Part(
        "Scores",
        "Scores of plain arrays, of an encoder, of samples, and of several models by one another; torch is not needed.",
        (
            "disentangle_bench.metrics.score",
            "disentangle_bench.metrics.score_table",
            "disentangle_bench.metrics.score_encoder",
            "disentangle_bench.metrics.from_representation_function",
            "disentangle_bench.metrics.score_images",
            "disentangle_bench.metrics.udr.udr",
            "disentangle_bench.metrics.model_centrality.model_centrality",
            "disentangle_bench.metrics.model_centrality.Peer",
        ),
    ),
    "trials": Part(
        "Trained models",
        "A finished trial's model, in files for other code too, and what its codes are worth in nats.",
        (
            "disentangle_bench.load_trial",
            "disentangle_bench.trials.finished.FinishedTrial",
            "disentangle_bench.exports.folder.export_trial",
            "disentangle_bench.evaluation.information.code_information",
            "disentangle_bench.evaluation.information.mutual_information",
        ),
    ),
    "contracts": Part(
        "Contracts of datasets and metrics",
        "What a dataset, a metric of codes or of images, and a comparison must offer; numpy is enough.",
        (
            "disentangle_bench.contracts.Dataset",
            "disentangle_bench.contracts.CodeTable",
            "disentangle_bench.contracts.Score",
            "disentangle_bench.contracts.Metric",
            "disentangle_bench.contracts.ImageMetric",
            "disentangle_bench.contracts.ImageSamples",
            "disentangle_bench.contracts.Cost",
            "disentangle_bench.contracts.Comparison",
        ),
    ),
    "models": Part(
        "Contract of models",
        "What a model must offer, so that one trainer serves them all.",
        (
            "disentangle_bench.models.base.Model",
            "disentangle_bench.models.base.ModelConfig",
            "disentangle_bench.models.base.Batch",
            "disentangle_bench.models.base.Player",
            "disentangle_bench.models.base.Between",
            "disentangle_bench.models.base.parameters_of",
            "disentangle_bench.models.base.count_parameters",
            "disentangle_bench.settings.Settings",
        ),
    ),
    "registry": Part(
        "Registry and mistakes",
        "Models, datasets and metrics by name, plugins among them; and the error that a user's mistake raises.",
        (
            "disentangle_bench.registry.names",
            "disentangle_bench.registry.get",
            "disentangle_bench.registry.metrics_of",
            "disentangle_bench.registry.load_plugin",
            "disentangle_bench.errors.UserError",
        ),
    ),
    "figures": Part(
        "Figures",
        "Plots of the tables that a study's CSV files hold, for a paper; and performance profiles.",
        (
            "disentangle_bench.boards.picture.leaderboard_figure",
            "disentangle_bench.boards.swept.swept_figure",
            "disentangle_bench.boards.curves.study_figure",
            "disentangle_bench.pictures.paper.write_figure",
            "disentangle_bench.boards.profiles.performance_profile",
            "disentangle_bench.boards.profiles.probability_of_improvement",
            "disentangle_bench.boards.profiles.Estimate",
        ),
    ),
    "oracles": Part(
        "Oracle codes",
        "Codes with a known relation to the factors, and so with a known score: to try a metric on.",
        ("disentangle_bench.evaluation.oracles.oracle_codes",),
    ),
}


def public_names() -> list[str]:
    """Every public name, after the module that it is imported from."""
    return [name for part in PARTS.values() for name in part.names]


def pages() -> dict[str, str]:
    """The pages, and one that lists them."""
    made = {f"reference/python/{place}.md": page(part) for place, part in PARTS.items()}
    return {"reference/python/index.md": overview(), **made}


def nav() -> list[str | dict[str, str]]:
    """Those pages, for the nav."""
    return [
        "reference/python/index.md",
        *({part.title: f"reference/python/{place}.md"} for place, part in PARTS.items()),
    ]


def overview() -> str:
    """What there is, by page."""
    parts = [
        "# Python",
        "What stands here is public: the changelog says when it changes. All else may change silently.",
    ]
    for place, part in PARTS.items():
        links = ", ".join(f"[`{name.rpartition('.')[2]}`]({place}.md#{name})" for name in part.names)
        parts.append(f"**[{part.title}]({place}.md)**. {part.intro} {links}")
    return "\n\n".join(parts) + "\n"


def page(part: Part) -> str:
    """A page: mkdocstrings' directive for each name."""
    return "\n\n".join([f"# {part.title}", part.intro, *(f"::: {name}" for name in part.names)]) + "\n"
