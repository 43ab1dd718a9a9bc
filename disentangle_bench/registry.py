"""Models, datasets and metrics by name: built in, from installed packages, or from a user's own file.

A built-in is named here and imported when it is asked for, so that listing the metrics imports no torch. A package
offers its own under the entry points `disentangle_bench.models`, `.datasets` and `.metrics`; a file given by
`--plugin` offers every `Model` and `Dataset` subclass and every `Metric` and `ImageMetric` that it defines.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from disentangle_bench.blame import own_frames, place, said, written
from disentangle_bench.contracts import Score
from disentangle_bench.errors import PluginError, UserError, unknown

NAME = re.compile(r"[^\W_][\w .+-]*")  # of what a plugin defines
Kind = Literal["model", "dataset", "metric", "comparison"]  # a comparison scores models by one another

BUILT_IN: dict[Kind, dict[str, str]] = {
    "model": {
        "gan": "disentangle_bench.models.gan:GAN",
        "infogan": "disentangle_bench.models.infogan:InfoGAN",
        "ib-gan": "disentangle_bench.models.ib_gan:IBGAN",
        "dcgan": "disentangle_bench.models.dcgan:DCGAN",
        "cgan": "disentangle_bench.models.cgan:CGAN",
        "infogan-original": "disentangle_bench.models.infogan_original:InfoGANOriginal",
        "infogan-modified": "disentangle_bench.models.infogan_modified:InfoGANModified",
        "infogan-cr": "disentangle_bench.models.infogan_cr:InfoGANCR",
        "c-infogan": "disentangle_bench.models.c_infogan:CInfoGAN",
        "wgan-gp": "disentangle_bench.models.wgan_gp:WGANGP",
        "infowgan-gp": "disentangle_bench.models.infowgan_gp:InfoWGANGP",
        "qlinfowgan-gp": "disentangle_bench.models.qlinfowgan_gp:QLInfoWGANGP",
        "ae": "disentangle_bench.models.ae:AE",
        "qlae": "disentangle_bench.models.qlae:QLAE",
        "vae": "disentangle_bench.models.vae:VAE",
        "beta-vae": "disentangle_bench.models.beta_vae:BetaVAE",
        "annealed-vae": "disentangle_bench.models.annealed_vae:AnnealedVAE",
        "factor-vae": "disentangle_bench.models.factor_vae:FactorVAE",
        "beta-tcvae": "disentangle_bench.models.beta_tcvae:BetaTCVAE",
        "dip-vae-i": "disentangle_bench.models.dip_vae_i:DIPVAEI",
        "dip-vae-ii": "disentangle_bench.models.dip_vae_ii:DIPVAEII",
    },
    "dataset": {
        "dsprites": "disentangle_bench.datasets.dsprites:DSprites",
        "dsprites-32": "disentangle_bench.datasets.dsprites:DSprites32",
        "dsprites-color8": "disentangle_bench.datasets.dsprites_color8:DSpritesColor8",
        "dsprites-color": "disentangle_bench.datasets.dsprites_color:DSpritesColor",
        "dsprites-noisy": "disentangle_bench.datasets.dsprites_noisy:DSpritesNoisy",
        "dsprites-scream": "disentangle_bench.datasets.dsprites_scream:DSpritesScream",
        "dsprites-circular": "disentangle_bench.datasets.dsprites_circular:DSpritesCircular",
        "shapes3d": "disentangle_bench.datasets.shapes3d:Shapes3D",
        "mpi3d-toy": "disentangle_bench.datasets.mpi3d:MPI3DToy",
        "mpi3d-realistic": "disentangle_bench.datasets.mpi3d:MPI3DRealistic",
        "mpi3d-real": "disentangle_bench.datasets.mpi3d:MPI3DReal",
        "mpi3d-complex": "disentangle_bench.datasets.mpi3d:MPI3DComplex",
        "cars3d": "disentangle_bench.datasets.cars3d:Cars3D",
        "smallnorb": "disentangle_bench.datasets.smallnorb:SmallNORB",
        "mnist": "disentangle_bench.datasets.mnist:MNIST",
        "fashion-mnist": "disentangle_bench.datasets.mnist_likes:FashionMNIST",
        "kmnist": "disentangle_bench.datasets.mnist_likes:KMNIST",
        "digits": "disentangle_bench.datasets.digits:Digits",
        "chairs3d": "disentangle_bench.datasets.chairs3d:Chairs3D",
        "celeba": "disentangle_bench.datasets.celeba:CelebA",
        "folder": "disentangle_bench.datasets.folder:Folder",
    },
    "metric": {
        "factor-vae": "disentangle_bench.metrics.factor_vae:METRIC",
        "beta-vae": "disentangle_bench.metrics.beta_vae:METRIC",
        "mig": "disentangle_bench.metrics.mig:METRIC",
        "mig-sup": "disentangle_bench.metrics.mig_sup:METRIC",
        "dcimig": "disentangle_bench.metrics.dcimig:METRIC",
        "sap": "disentangle_bench.metrics.sap:METRIC",
        "modularity-explicitness": "disentangle_bench.metrics.modularity_explicitness:METRIC",
        "unsupervised": "disentangle_bench.metrics.unsupervised:METRIC",
        "downstream": "disentangle_bench.metrics.downstream:METRIC",
        "dci": "disentangle_bench.metrics.dci:METRIC",
        "irs": "disentangle_bench.metrics.irs:METRIC",
        "infomec": "disentangle_bench.metrics.infomec:METRIC",
        "mcc": "disentangle_bench.metrics.mcc:METRIC",
        "jemmig": "disentangle_bench.metrics.jemmig:METRIC",
        "dci-es": "disentangle_bench.metrics.dci_es:METRIC",
        "snc": "disentangle_bench.metrics.snc:METRIC",
        "omes": "disentangle_bench.metrics.omes:METRIC",
        "minimality-sufficiency": "disentangle_bench.metrics.minimality_sufficiency:METRIC",
        "fid": "disentangle_bench.metrics.fid:METRIC",
        "kid": "disentangle_bench.metrics.kid:METRIC",
        "frechet-random": "disentangle_bench.metrics.frechet_random:METRIC",
        "grid-quality": "disentangle_bench.metrics.grid_quality:METRIC",
        "label-accuracy": "disentangle_bench.metrics.label_accuracy:METRIC",
    },
    "comparison": {
        "udr": "disentangle_bench.metrics.udr:COMPARISON",
        "model-centrality": "disentangle_bench.metrics.model_centrality:COMPARISON",
    },
}

KINDS = tuple(BUILT_IN)

_plugins: dict[Kind, dict[str, Any]] = {kind: {} for kind in KINDS}
_plugin_sources: dict[Path, str] = {}
_installed: set[Path] = set()  # files of what was loaded by entry point
FROM_A_PLUGIN = " What a plugin defines is known where it is given: --plugin FILE."


def names(kind: Kind) -> list[str]:
    """All registered names of a kind, built-ins first."""
    return [*BUILT_IN[kind], *_entry_points(kind), *_plugins[kind]]


def metrics_of(sort: type) -> list[str]:
    """The names of the metrics that are a `Metric`, which score codes, or an `ImageMetric`, which score images."""
    return [name for name in names("metric") if isinstance(get("metric", name), sort)]


def get(kind: Kind, name: str) -> Any:
    """The model class, dataset class or metric of this name; `UserError` with the nearest name if there is none."""
    if name in _plugins[kind]:
        return _plugins[kind][name]
    entry = _entry_points(kind).get(name)
    if entry is not None:
        return _loaded(entry)
    if name not in BUILT_IN[kind]:
        found = _variant(name) if kind == "dataset" else None
        if found is None:
            raise other_kind(kind, name) or unknown(kind, name, names(kind), FROM_A_PLUGIN)
        return found
    module, _, attribute = BUILT_IN[kind][name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def other_kind(kind: Kind, name: str) -> UserError | None:
    """The error for a comparison where a metric is asked for, and the other way round: where it belongs."""
    if kind == "metric" and name in names("comparison"):
        ask = f"{name}={get('comparison', name).default_protocol}"
        return UserError(
            f"{name} compares the seeds of a study with one another and is no metric of one model; ask for it under "
            f"`comparisons` in the study file, or by `disentangle-bench run ... --set comparisons.{ask}`."
        )
    if kind == "comparison" and name in names("metric"):
        return UserError(f"{name} scores each model by itself and compares no seeds; ask for it under `metrics`.")
    return None


def families(name: str) -> list[str]:
    """The datasets whose variant a name may be, the longest first: `celeba` of `celeba-train`; none of a registered."""
    known = names("dataset")
    found = [family for family in known if name.startswith(family + "-")] if name not in known else []
    return sorted(found, key=len, reverse=True)


def _variant(name: str) -> Any:
    """The member of a family of datasets that this name stands for, such as `folder-cats`; None where there is none.

    Every dataset has a draft, and correlated ones where it has factors. `UserError` for a correlated one's name that
    says something that can't be.
    """
    whole = name.removesuffix("-draft")
    if whole != name and known_dataset(whole):
        return importlib.import_module("disentangle_bench.datasets.draft").draft_of(get("dataset", whole))
    whole, mark, correlation = name.partition("-corr-")
    if mark and "+" in correlation and known_dataset(whole):
        correlated = importlib.import_module("disentangle_bench.datasets.correlated")
        return correlated.correlated(get("dataset", whole), correlation)
    for family in families(name):
        found = get("dataset", family).variant(name.removeprefix(family + "-"))
        if found is not None:
            return found
    return None


def known_dataset(name: str) -> bool:
    """Whether `get("dataset", name)` finds something."""
    return name in names("dataset") or _variant(name) is not None


def source_hash(kind: Kind, name: str) -> str | None:
    """sha256 of a plugin's source file, which is part of its trials' identity; None for a built-in."""
    if name in BUILT_IN[kind]:
        return None
    item = get(kind, name)
    path = inspect.getsourcefile(item.compute if kind == "metric" else item)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if path else None


def load_plugin(path: str | Path) -> list[str]:
    """Import a user's file or module and register what it defines; return the names.

    `path` is a file, or the dotted name of an importable module. Loading the same unchanged file again does nothing.
    """
    file = Path(path).expanduser().resolve()
    if file.suffix == ".py":
        if not file.is_file():
            raise UserError(f"--plugin {path}: there is no such file.")
        if _plugin_sources.get(file) == hashlib.sha256(file.read_bytes()).hexdigest():
            return []
        module = imported(f"--plugin {path}", file, lambda: import_file(file))
    else:
        package = _package_file(str(path))
        module = imported(f"--plugin {path}", package, lambda: importlib.import_module(str(path)))
        file = Path(module.__file__ or str(path)).resolve()
        _installed.update({package} if package else ())
    found = _defined_in(module)
    if not found:
        raise UserError(f"--plugin {path}: it defines no Model or Dataset subclass with a `name`, and no Metric.")
    for kind, name, item in found:
        known = _plugins[kind].get(name)
        if name in BUILT_IN[kind] or name in _entry_points(kind) or (known is not None and _origin(known) != file):
            raise UserError(f"--plugin {path}: a {kind} named '{name}' exists already; give yours another name.")
        _plugins[kind][name] = item
    _plugin_sources[file] = hashlib.sha256(file.read_bytes()).hexdigest()
    return [name for _, name, _ in found]


def plugin_files() -> list[Path]:
    """The source files of the plugins that were loaded so far."""
    return [*_plugin_sources, *_installed]


def imported(what: str, file: Path | None, load: Callable[[], Any]) -> Any:
    """What a plugin's import gives; `PluginError` with the plugin's own line where that fails.

    file: the plugin's, as far as it is known before.
    """
    try:
        return load()
    except (Exception, SystemExit) as error:
        frames = own_frames(error, [*plugin_files(), *([file] if file else [])])
        where = f", at {place(frames[-1])}" if frames else ""
        raise PluginError(f"{what}: it can't be imported ({said(error)}{where}).{written(frames)}") from error


def _loaded(entry: importlib.metadata.EntryPoint) -> Any:
    """What an entry point offers."""
    package = _package_file(entry.module)
    item = imported(f"the entry point '{entry.name}' ({entry.value})", package, entry.load)
    _installed.update(file for file in (package, _origin(item)) if file is not None)
    return item


def _package_file(module: str) -> Path | None:
    """The file of the package or single module that a dotted name begins with; None where there is none."""
    found = importlib.util.find_spec(module.partition(".")[0])
    return Path(found.origin).resolve() if found is not None and found.has_location and found.origin else None


@functools.cache
def _entry_points(kind: Kind) -> dict[str, importlib.metadata.EntryPoint]:
    found: dict[str, importlib.metadata.EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=f"disentangle_bench.{kind}s"):
        if entry.name in BUILT_IN[kind] or entry.name in found:
            raise UserError(
                f"the {kind} '{entry.name}' is offered twice, the second time by {entry.value}; remove one."
            )
        found[entry.name] = entry
    return found


def import_file(file: Path) -> ModuleType:
    name = f"disentangle_bench_plugin_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"--plugin {file}: Python can't import this file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _origin(item: Any) -> Path:
    target = item.compute if hasattr(item, "compute") else item
    return Path(inspect.getsourcefile(target) or "").resolve()


def _defined_in(module: ModuleType) -> list[tuple[Kind, str, Any]]:
    found: list[tuple[Kind, str, Any]] = []
    for item in vars(module).values():
        if isinstance(item, Score) and not inspect.isfunction(item.compute):
            raise UserError(
                f"the metric '{item.name}' in {module.__file__}: `compute` must be a function that is defined there, "
                f"not a {type(item.compute).__name__}."
            )
        if isinstance(item, Score) and item.compute.__module__ == module.__name__:
            found.append(("metric", item.name, item))
        elif inspect.isclass(item) and item.__module__ == module.__name__ and "name" in vars(item):
            kind, name = getattr(item, "registered_as", None), vars(item)["name"]
            if kind not in ("model", "dataset"):
                continue
            if not (isinstance(name, str) and name):
                raise UserError(f"{item.__name__}.name must be a text that is not empty, not {name!r}.")
            found.append((kind, name, item))
    for _, name, _ in found:
        if not NAME.fullmatch(name):
            raise UserError(
                f"the name '{name}' in {module.__file__} can't be used: names stand in paths, lists and tables; "
                "they are of letters, digits, spaces and . _ + -, and begin with a letter or digit."
            )
    return found
