"""What a study asks for: typed, validated, and resolved to its trials."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from disentangle_bench import registry
from disentangle_bench.contracts import Dataset
from disentangle_bench.errors import UserError, unknown
from disentangle_bench.models.base import Model, ModelConfig
from disentangle_bench.models.declared import refuse_incomplete
from disentangle_bench.resources import shipped
from disentangle_bench.settings import AUTO, validated
from disentangle_bench.studies import plain_yaml
from disentangle_bench.training.numerics import resolve_numerics
from disentangle_bench.training.rehearsal import rehearse
from disentangle_bench.training.trainer import Intervals
from disentangle_bench.trials import sweep
from disentangle_bench.trials.spec import TrialSpec

PRESETS = shipped("presets")
MAX_SEEDS = 100_000
RESERVED = ("runs", "published")  # folders of the results root that are no study's
SCORED_BY: dict[str, registry.Kind] = {"metrics": "metric", "comparisons": "comparison"}  # fields, and what they name


def parse_seeds(value: Any) -> Any:
    """Seeds as a list, from `[0, 1]`, `3`, or ranges: `0-31`, `0-3,7`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if not isinstance(value, str):
        return value
    seeds: list[int] = []
    for part in value.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if not match:
            raise ValueError(f"'{value}' is not a list of seeds such as 0-31 or 0,1,5")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"the range '{part.strip()}' runs backwards")
        if last - first >= MAX_SEEDS:
            raise ValueError(f"the range '{part.strip()}' holds more than {MAX_SEEDS:,} seeds")
        seeds.extend(range(first, last + 1))
    return seeds


def seed_ranges(seeds: Iterable[int]) -> str:
    """Seeds in short, as `parse_seeds` reads them: 0-4,7."""
    parts: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1][1:] = [seed]
        else:
            parts.append([seed])
    return ",".join("-".join(map(str, part)) for part in parts)


def parse_names(value: Any) -> Any:
    """Names as a list, from a list or a comma-separated string."""
    if isinstance(value, list):  # YAML reads a protocol's name such as 200 as a number
        return [str(part) if isinstance(part, int) and not isinstance(part, bool) else part for part in value]
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def study_name(name: str) -> str:
    """A study's name, which is a folder's: no path, no space, and none that the results root needs for itself."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise ValueError("a study's name has letters, digits and . _ + - only, and begins with a letter or digit")
    if name in RESERVED:
        raise ValueError(f"the name '{name}' is taken; choose another")
    return name


Names = Annotated[list[str], BeforeValidator(parse_names), Field(min_length=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(parse_seeds), Field(min_length=1)]
Values = Annotated[list[Any], Field(min_length=1)]
Interval = Annotated[int, Field(ge=0)]


class IntervalsConfig(BaseModel):
    """Steps between two of each, 0 for never, and seconds between checkpoints; the last step has all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log: Interval = Intervals.log
    diagnose: Interval = Intervals.diagnose
    score: Interval = Intervals.score
    checkpoint_seconds: float = Field(Intervals.checkpoint_seconds, ge=0)


class StudyConfig(BaseModel):
    """A study file: models × datasets × seeds under one protocol list. Every field can be set with --set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, AfterValidator(study_name)]
    description: str = ""
    models: Names
    datasets: Names
    seeds: Seeds = [0]
    configuration: str = Field(AUTO, description="a configuration's name, or auto: the dataset's own, else `small`")
    steps: int | None = Field(None, ge=0, description="overrides every model's budget")
    batch_size: int | None = Field(None, gt=1, description="overrides every model's batch size")
    overrides: dict[str, dict[str, Any]] = Field({}, description="fields by model")
    sweep: dict[str, dict[str, Values]] = Field({}, description="values of fields by model; each combination a cell")
    metrics: dict[str, Names] = Field(
        {"factor-vae": ["robust"], "beta-vae": ["robust"]},
        description="protocols by metric; or a list of METRIC, METRIC/PROTOCOL, METRIC/all",
    )
    comparisons: dict[str, Names] = Field({}, description="scores of the seeds by one another, likewise; no labels")
    repeats: int = Field(3, ge=1, description="a metric's own seeds, by which each encoder is scored")
    intervals: IntervalsConfig = IntervalsConfig()
    numerics: dict[str, Any] = Field({}, description="device, threads, precision, mode; see `Numerics`")


def load_study(source: str | None, changes: Mapping[str, Any], settings: list[str]) -> StudyConfig:
    """A study from a preset's name or a YAML file, with the command line's changes and `--set` settings.

    settings: `path=value` each; a path that begins with a model's name goes to that model's configuration.
    """
    raw = read_study_file(source) if source else {}
    raw |= {key: value for key, value in changes.items() if value is not None}
    for setting in settings:
        apply_setting(raw, setting)
    raw.setdefault("name", default_name(raw))
    for field, kind in SCORED_BY.items():
        if field in raw:
            raw[field] = with_protocols(kind, raw[field])
    study = validated(StudyConfig, raw, "")
    for field in ("overrides", "sweep"):
        for model in getattr(study, field):
            if model not in study.models:
                raise unknown(f"model in {field}", model, study.models)
    return study


def by_name(value: Any) -> Any:
    """Words by metric, from a list or text of METRIC and METRIC/WORD: `mig, dci/all` is {mig: [None], dci: ["all"]}."""
    words = parse_names(value)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return value
    named: dict[str, list[str | None]] = {}
    for name, slash, word in (each.partition("/") for each in words):
        named.setdefault(name, []).append(word if slash else None)
    return named


def with_protocols(kind: registry.Kind, value: Any) -> Any:
    """Protocols by metric, or by comparison, from what a study says of them; see `UnderProtocols.protocols_of`.

    Where it says nothing, the default one is meant. What has another form is left to the validation of the study.
    """
    named = by_name(value)
    if not isinstance(named, Mapping):
        return value
    asked: dict[Any, Any] = {}
    for name, given in named.items():
        words = [None] if given is None else parse_names(given)
        if isinstance(name, str) and isinstance(words, list) and all(isinstance(w, str | None) for w in words):
            scored = registry.get(kind, name)
            words = list(dict.fromkeys(protocol for word in words for protocol in scored.protocols_of(word)))
        asked[name] = words
    return asked


def preset_names() -> list[str]:
    """The presets that the package ships."""
    return sorted(preset.stem for preset in PRESETS.glob("*.yaml"))


def is_file_name(source: str) -> bool:
    """Whether `source` names a file, and not a preset or a study."""
    return source.endswith((".yaml", ".yml"))


def read_study_file(source: str) -> dict[str, Any]:
    """The YAML of a preset by name, or of a file by path."""
    if not is_file_name(source) and source not in preset_names():
        raise unknown("preset or study", source, preset_names())
    path = Path(source) if is_file_name(source) else PRESETS / f"{source}.yaml"
    if not path.is_file():
        raise UserError(f"study file {path} is not there.")
    try:
        raw = plain_yaml.load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"study file {path} can't be read as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(raw, dict):
        raise UserError(
            f"study file {path} must hold fields such as `models:` and `seeds:`, not a {type(raw).__name__}."
        )
    return {"name": path.stem, **raw}


def apply_setting(raw: dict[str, Any], setting: str) -> None:
    """Apply one `--set path=value` to a raw study."""
    path, equals, text = setting.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"--set {setting}: expected PATH=VALUE, such as ib-gan.beta=0.2 or steps=1000.")
    try:
        value = plain_yaml.load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {setting:.200}: '{text:.200}' is not a YAML value.") from error
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        value = float(value)  # YAML 1.1 reads 1e-4 as text
    if keys[0] not in StudyConfig.model_fields:
        if len(keys) == 1 or keys[0] not in registry.names("model"):
            raise no_setting(setting, keys[0], parse_names(raw.get("models")))
        keys = ["overrides", *keys]
    for key in keys[:-1]:
        inner = by_name(raw.get(key)) if key in SCORED_BY else raw.get(key)
        raw[key] = dict(inner) if isinstance(inner, Mapping) else {}
        raw = raw[key]
    raw[keys[-1]] = value


def no_setting(setting: str, name: str, models: Any) -> UserError:
    """The error for a `--set` whose path begins with neither a study's field nor a model; a model's field gets its way.

    models: those that the study asks for, as far as they are well-formed.
    """
    owners: dict[str, str] = {}
    for model in models if isinstance(models, list) else []:
        if model in registry.names("model"):
            for field in registry.get("model", model).Config.model_fields:
                owners.setdefault(field, model)
    if name in owners:
        return UserError(f"--set {setting}: {name} is a field of {owners[name]}; say --set {owners[name]}.{setting}.")
    known = [*StudyConfig.model_fields, *registry.names("model")]
    near = difflib.get_close_matches(name, [*known, *owners], n=1, cutoff=0.5)
    if near and near[0] in owners and near[0] not in known:
        return UserError(f"unknown setting '{name}'. Did you mean '{owners[near[0]]}.{near[0]}'?")
    return unknown("setting", name, known)


def default_name(raw: Mapping[str, Any]) -> str:
    """A name for a study that was given on the command line alone."""
    parts = [*(parse_names(raw.get("models")) or ["study"]), *(parse_names(raw.get("datasets")) or [])]
    return "_".join(str(part) for part in parts)


def resolve_configs(study: StudyConfig, model: str, dataset: str) -> dict[str, ModelConfig]:
    """The configurations that a model uses on a dataset by name: the named one, or one a combination of a sweep.

    Swept values stand in the name. A configuration that overrides change is called so. Neither then has the name of a
    published one, lest a published number stand beside it.
    """
    cls: type[Model] = registry.get("model", model)
    refuse_incomplete(cls)
    name = study.configuration
    if name == AUTO:
        candidates = [dataset, *registry.families(dataset), "small", "default", *cls.configurations]
        name = next(candidate for candidate in candidates if candidate in cls.configurations)
    if name not in cls.configurations:
        raise unknown(f"configuration of {model}", name, cls.configurations)
    changes = {key: value for key in ("steps", "batch_size") if (value := getattr(study, key)) is not None}
    changes |= study.overrides.get(model, {})
    swept = study.sweep.get(model, {})
    for key in [*study.overrides.get(model, {}), *swept]:
        if key not in cls.Config.model_fields:
            raise unknown(f"field {model}.", key, cls.Config.model_fields)
        if key in swept and key in changes:
            raise UserError(f"sweep.{model}.{key}: the study also sets {key} = {changes[key]}; remove one of the two.")
    settings = cls.configurations[name].model_dump() | changes
    changed = validated(cls.Config, settings, f"{model}.") != cls.configurations[name]
    found = {}
    for values in sweep.combinations(swept):
        config = validated(cls.Config, settings | values, f"{model}.")
        variant = sweep.variant({key: getattr(config, key) for key in values})
        found[name + variant + ("-changed" if changed else "")] = config
    return found


def resolve_trials(study: StudyConfig, datasets: Mapping[str, Dataset]) -> list[TrialSpec]:
    """Every trial of a study, seeds in the inner loop; tries each model once to see that its shapes fit."""
    numerics = resolve_numerics(study.numerics)
    trials = []
    for dataset_name in study.datasets:
        dataset = datasets[dataset_name]
        for model in study.models:
            for name, config in resolve_configs(study, model, dataset_name).items():
                cls: type[Model] = registry.get("model", model)
                if cls.conditional and dataset.classes() < 2:
                    has = "has no labels" if not dataset.classes() else "has a single class"
                    raise UserError(f"{model} is given class labels, and {dataset_name} {has}; choose another dataset.")
                try:
                    rehearse(cls, config, dataset.image_shape, dataset.classes(), numerics.device)
                except (RuntimeError, MemoryError) as error:
                    raise UserError(f"{model} can't be built with this configuration: {first_line(error)}") from error
                trials += [
                    TrialSpec(
                        model=model,
                        model_source=registry.source_hash("model", model),
                        model_version=cls.version,
                        configuration=name,
                        config=config.model_dump(mode="json"),
                        dataset=dataset_name,
                        dataset_checksum=dataset.checksum,
                        seed=seed,
                        numerics=numerics,
                    )
                    for seed in dict.fromkeys(study.seeds)
                ]
    return trials


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error) or type(error).__name__).splitlines()[0]
