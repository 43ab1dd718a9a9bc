"""The public names of the package, by what one does with them; mkdocstrings shows each from its docstring."""

from __future__ import annotations

from dataclasses import dataclass

PACKAGE = "disentangle_bench"


@dataclass(frozen=True)
class Part:
    """One page: public names by the module that they are imported from."""

    title: str
    intro: str
    names: dict[str, tuple[str, ...]]  # by module, below the package


PARTS = {
    "datasets": Part(
        "Datasets",
        "Images and factors by a dataset's name; and the base of datasets that lie in one prepared file.",
        {"datasets": ("load", "names", "data_root"), "datasets.stored": ("StoredDataset", "Reading")},
    ),
    "scores": Part(
        "Scores",
        "Scores of plain arrays, of an encoder, of samples, and of several models by one another; torch is not needed.",
        {
            "metrics": ("score", "score_table", "score_encoder", "from_representation_function", "score_images"),
            "metrics.udr": ("udr",),
            "metrics.model_centrality": ("model_centrality", "Peer"),
        },
    ),
    "trials": Part(
        "Trained models",
        "A finished trial's model, and what its codes are worth in nats.",
        {
            "trials.finished": ("load_trial", "FinishedTrial"),
            "evaluation.information": ("mutual_information", "code_information"),
        },
    ),
    "contracts": Part(
        "Contracts of datasets and metrics",
        "What a dataset, a metric of codes or of images, and a comparison must offer; numpy is enough.",
        {
            "contracts": (
                "Dataset", "CodeTable", "Score", "Metric", "ImageMetric", "ImageSamples", "Comparison",
            )
        },
    ),
    "models": Part(
        "Contract of models",
        "What a model must offer, so that one trainer serves them all.",
        {
            "models.base": (
                "Model", "ModelConfig", "Batch", "Player", "Between", "parameters_of", "count_parameters",
            ),
            "settings": ("Settings",),
        },
    ),
    "registry": Part(
        "Registry and mistakes",
        "Models, datasets and metrics by name, plugins among them; and the error that a user's mistake raises.",
        {"registry": ("names", "get", "metrics_of", "load_plugin"), "errors": ("UserError",)},
    ),
    "oracles": Part(
        "Oracle codes",
        "Codes with a known relation to the factors, and so with a known score: to try a metric on.",
        {"evaluation.oracles": ("oracle_codes",)},
    ),
}  # fmt: skip


def public_names() -> list[tuple[str, str]]:
    """Every public name: the module that it is imported from, and the name."""
    return [
        (f"{PACKAGE}.{module}", name) for part in PARTS.values() for module, names in part.names.items() for name in names
    ]


def pages() -> dict[str, str]:
    """The pages, and one that lists them."""
    made = {f"reference/python/{name}.md": page(part) for name, part in PARTS.items()}
    return {"reference/python/index.md": overview(), **made}


def nav() -> list[str | dict[str, str]]:
    """Those pages, for the nav."""
    return ["reference/python/index.md", *({part.title: f"reference/python/{name}.md"} for name, part in PARTS.items())]


def overview() -> str:
    """What there is, by page."""
    lines = ["# Python", "What is listed here is public: it changes with a word in the changelog, and no name disappears in silence."]
    for name, part in PARTS.items():
        links = ", ".join(
            f"[`{each}`]({name}.md#{PACKAGE}.{module}.{each})" for module, names in part.names.items() for each in names
        )
        lines.append(f"**[{part.title}]({name}.md)**: {links}. {part.intro}")
    return "\n\n".join(lines) + "\n"


def page(part: Part) -> str:
    """A page: mkdocstrings' directive for each name."""
    directives = [f"::: {PACKAGE}.{module}.{name}" for module, names in part.names.items() for name in names]
    return "\n\n".join([f"# {part.title}", part.intro, *directives]) + "\n"
