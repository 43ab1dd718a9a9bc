"""The package's folders in the order in which data travels: each imports from those before it alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import ROOT

PACKAGE = ROOT / "disentangle_bench"
FLOORS = [  # from the ground up; what shares a floor does not import one another
    {"blame", "contracts", "display", "errors", "files", "plugins", "registry", "resources", "settings"},
    {"datasets", "models"},
    {"training"},
    {"features"},
    {"metrics"},
    {"evaluation"},
    {"pictures"},
    {"trials"},
    {"exports"},
    {"studies"},
    {"boards"},
    {"conformance"},
    {"cli"},
]
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
GROUND = FLOORS[0]
FACADES = {"__init__", "__main__"}  # of the package itself: they only lead to what lies deeper
FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0].removesuffix(".py") not in FACADES
)


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py") if room(path) not in FACADES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_runs_up(path: Path) -> None:
    own = room(path)
    for name in imports(path):
        package, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if package != "disentangle_bench" or other in (own, "__version__"):
            continue
        assert other in HEIGHT, f"{name}: which floor is {other} on?"
        below = HEIGHT[other] < HEIGHT[own] or {own, other} <= GROUND
        assert below, f"{own} imports {name}, which lies above it or beside it"


def test_every_room_has_its_floor() -> None:
    found = {room(path) for path in FILES}
    assert found == set(HEIGHT)


def test_the_ground_has_no_circle() -> None:
    """As everywhere: files of one folder import one another in one direction."""
    for folder in {path.parent for path in FILES}:
        edges: dict[str, set[str]] = {}
        prefix = ".".join(folder.relative_to(ROOT).parts)
        for path in folder.glob("*.py"):
            if path.stem not in FACADES:
                names = {
                    name.removeprefix(prefix + ".").split(".")[0] for name in imports(path) if name.startswith(prefix)
                }
                edges[path.stem] = {name for name in names if (folder / f"{name}.py").exists()} - {path.stem}
        while edges:
            free = {name for name, needs in edges.items() if not needs & edges.keys()}
            assert free, f"a circle in {prefix}: {edges}"
            edges = {name: needs for name, needs in edges.items() if name not in free}


def test_only_the_launcher_imports_ray() -> None:
    assert [path.name for path in FILES if any(name.split(".")[0] == "ray" for name in imports(path))] == ["cluster.py"]


def test_metrics_import_no_torch() -> None:
    for path in (PACKAGE / "metrics").glob("*.py"):
        assert not any(name.split(".")[0] == "torch" for name in imports(path)), path.name


def test_only_the_registry_knows_a_model_by_name() -> None:
    known = {f"disentangle_bench.models.{path.stem}" for path in (PACKAGE / "models").glob("*.py")} - {
        f"disentangle_bench.models.{shared}" for shared in ("__init__", "base", "declared", "sizes")
    }
    for path in FILES:
        if room(path) != "models":
            for name in imports(path):
                assert not any(name == each or name.startswith(each + ".") for each in known), f"{path}: {name}"
