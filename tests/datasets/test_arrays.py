"""The datasets that come as arrays, on small files in exactly the published formats, whole and damaged."""

import functools
import gzip
import hashlib
import http.server
import itertools
import math
import re
import tarfile
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from sklearn.datasets import load_digits

from disentangle_bench import registry
from disentangle_bench.conformance import datasets as conformance
from disentangle_bench.datasets.cars3d import Cars3D
from disentangle_bench.datasets.digits import Digits, enlarge
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.mnist import MNIST, MNISTTest
from disentangle_bench.datasets.mpi3d import MPI3DComplex, MPI3DToy
from disentangle_bench.datasets.shapes3d import Shapes3D
from disentangle_bench.datasets.smallnorb import SmallNORB
from disentangle_bench.errors import UserError
from tests.helpers import ROOT

CARDS = ROOT / "datasets"
HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"


def unchecked(remote: Remote) -> Remote:
    """The same file name, for files of a test's own making: any size, any content."""
    return Remote(remote.file_name, ("http://example.org/" + remote.file_name,))


class TinyShapes(Shapes3D):
    factor_sizes = (2, 1, 3, 2, 2, 2)
    remote = unchecked(Shapes3D.remote)


class TinyMPI(MPI3DToy):
    factor_sizes = (2, 2, 1, 1, 2, 3, 2)


class TinyCars(Cars3D):
    factor_sizes = (2, 3, 3)
    remote = unchecked(Cars3D.remote)


class TinyNORB(SmallNORB):
    factor_sizes = (2, 2, 3, 2)
    instances = 4
    remotes = tuple(unchecked(remote) for remote in SmallNORB.remotes)


class TinyMNIST(MNIST):
    size = 12
    remotes = (unchecked(MNIST.remotes[0]), unchecked(MNIST.remotes[1]))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).integers(256, size=shape, dtype=np.uint8)


def grid(sizes: tuple[int, ...]) -> np.ndarray:
    """All combinations, the last fastest: (N, K)."""
    return np.array(list(itertools.product(*map(range, sizes))))


# Files in the published formats, each returning what it put there, so that a test can compare.


def write_shapes(
    folder: Path, labels: np.ndarray | None = None, images: np.ndarray | None = None, **layout: Any
) -> Path:
    sizes = TinyShapes.factor_sizes
    hue, scale, shape, angle = np.linspace(0, 1, 3), np.linspace(0.75, 1.25, 2), np.arange(2.0), np.linspace(-30, 30, 2)
    values = (hue[:2], hue[:1], hue, scale, shape, angle)
    path = folder / "3dshapes.h5"
    with h5py.File(path, "w") as hdf:
        given = noise(math.prod(sizes), 64, 64, 3) if images is None else images
        hdf.create_dataset("images", data=given, compression="gzip", **layout)
        hdf["labels"] = np.array(list(itertools.product(*values))) if labels is None else labels
    return path


def write_mpi(folder: Path, save: Callable[..., None] = np.savez_compressed) -> Path:
    path = folder / "mpi3d_toy.npz"
    save(path, images=noise(48, 64, 64, 3))
    return path


CARS = ("car_002_mesh", "car_010_mesh", "car_001_mesh")  # list.txt need not be sorted


def car_views(car: int) -> np.ndarray:
    """One car's `im`, uint8 (128, 128, 3, 3 azimuths, 2 elevations): brighter to the right, by a level of its own."""
    columns = np.arange(128)[None, :, None, None, None]
    azimuth, elevation = np.arange(3)[:, None], np.arange(2)[None, :]
    level = 10 * car + 3 * azimuth + elevation
    return np.broadcast_to(columns + level, (128, 128, 3, 3, 2)).astype(np.uint8)


def write_cars(folder: Path) -> Path:
    """The unpacked tree `<folder>/data/cars`."""
    cars = folder / "data" / "cars"
    cars.mkdir(parents=True)
    (cars / "list.txt").write_text("".join(f"{name}\n" for name in CARS))
    for car, name in enumerate(CARS):
        savemat(cars / f"{name}.mat", {"im": car_views(car), "mask": np.ones((2, 2))}, do_compression=True)
    return cars


def pack_cars(folder: Path) -> Path:
    """The archive of such a tree, with what else the published one holds."""
    write_cars(folder / "unpacked")
    path = folder / "nips2015-analogy-data.tar.gz"
    (folder / "unpacked/data/sprites").mkdir()
    (folder / "unpacked/data/sprites/list.txt").write_text("sprite_1\n")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder / "unpacked" / "data", "data")
    return path


def norb_matrix(magic: int, array: np.ndarray) -> bytes:
    sizes = [*array.shape, 1, 1][: max(3, array.ndim)]
    return np.array([magic, array.ndim, *sizes], dtype="<i4").tobytes() + array.tobytes()


def norb_contents() -> dict[str, bytes]:
    """The six files' contents by name without .gz; images of one level, the second camera's white."""
    rng, contents = np.random.default_rng(3), {}
    for split, owned in (("5x46789x9x18x6x2x96x96-training", (1, 3)), ("5x01235x9x18x6x2x96x96-testing", (0, 2))):
        rows = np.array([row for row in grid((*TinyNORB.factor_sizes, 4)) if row[4] in owned])
        category, elevation, azimuth, lighting, instance = rng.permutation(rows).T
        level = 100 * category + 40 * elevation + 10 * azimuth + 4 * lighting + instance
        images = np.full((len(rows), 2, 96, 96), 255, dtype=np.uint8)
        images[:, 0] = level[:, None, None]
        info = np.stack([instance, elevation, 2 * azimuth, lighting], axis=1)
        contents[f"smallnorb-{split}-dat.mat"] = norb_matrix(0x1E3D4C55, images)
        contents[f"smallnorb-{split}-cat.mat"] = norb_matrix(0x1E3D4C54, category.astype("<i4"))
        contents[f"smallnorb-{split}-info.mat"] = norb_matrix(0x1E3D4C54, info.astype("<i4"))
    return contents


def write_norb(folder: Path) -> Path:
    for name, content in norb_contents().items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def idx(magic: int, array: np.ndarray) -> bytes:
    return np.array([magic, *array.shape], dtype=">i4").tobytes() + array.astype(np.uint8).tobytes()


DIGITS = np.array([5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5])


def write_mnist(folder: Path) -> Path:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(2051, noise(12, 28, 28))))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(2049, DIGITS)))
    return folder


EVERY: dict[type, Callable[[Path], object]] = {
    TinyShapes: write_shapes,
    TinyMPI: write_mpi,
    TinyCars: pack_cars,
    TinyNORB: write_norb,
    TinyMNIST: write_mnist,
    Digits: lambda folder: None,
}


def prepared(cls: Any, root: Path, source: Path | None = None) -> Any:
    cls.prepare(root, source=source)
    return cls(root)


def refusal(cls: Any, root: Path, source: Path | None = None) -> str:
    """What `prepare` says when it refuses; nothing but the source and a lock is left."""
    with pytest.raises(UserError) as caught:
        cls.prepare(root, source=source)
    assert cls.prepared(root) is None
    assert not list(root.glob(".*.tmp")), "a temporary file was left"
    return str(caught.value)


# --- all of them


@pytest.mark.parametrize("cls", EVERY)
def test_conformance(cls: Any, tmp_path: Path) -> None:
    EVERY[cls](tmp_path)
    cls.prepare(tmp_path)
    subject = conformance.Subject(cls, tmp_path)
    for check in conformance.CHECKS:
        check(subject)


@pytest.mark.parametrize("cls", EVERY)
def test_the_same_source_gives_the_same_content_and_progress_ends_at_all_rows(cls: Any, tmp_path: Path) -> None:
    EVERY[cls](tmp_path)
    seen: list[tuple[int, int]] = []
    cls.prepare(tmp_path, lambda done, total: seen.append((done, total)))
    first = cls(tmp_path)
    assert seen[-1] == (len(first), len(first))
    first.verify()
    cls.path(tmp_path).unlink()
    assert prepared(cls, tmp_path).checksum == first.checksum


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("shapes3d", 480_000),
        ("mpi3d-toy", 1_036_800),
        ("mpi3d-realistic", 1_036_800),
        ("mpi3d-real", 1_036_800),
        ("mpi3d-complex", 460_800),
        ("cars3d", 17_568),
    ],
)
def test_published_sizes_of_the_full_grids(name: str, images: int) -> None:
    cls = registry.get("dataset", name)
    assert math.prod(cls.factor_sizes) == images
    assert f"{images:,} images" in cls.description


@pytest.mark.parametrize(
    "name", ["shapes3d", "mpi3d-toy", "mpi3d-realistic", "mpi3d-real", "mpi3d-complex", "cars3d", "smallnorb"]
)
def test_the_card_names_the_factors_with_their_sizes(name: str) -> None:
    cls, card = registry.get("dataset", name), (CARDS / f"{name}.md").read_text()
    for factor, size in zip(cls.factor_names, cls.factor_sizes, strict=True):
        assert f"| {factor} | {size} |" in card or f"{factor} {size}" in card


@pytest.mark.parametrize(
    "name",
    [
        "shapes3d", "cars3d", "smallnorb", "mnist", "mnist-test", "fashion-mnist", "fashion-mnist-test", "kmnist",
        "kmnist-test",
    ],
)  # fmt: skip
def test_the_card_holds_the_checksums_that_are_compared(name: str) -> None:
    cls = registry.get("dataset", name)
    card = (CARDS / f"{name.removesuffix('-test')}.md").read_text()
    for remote in getattr(cls, "remotes", None) or [cls.remote]:
        assert f"`{remote.checksum.partition(':')[2]}`" in card


@pytest.mark.parametrize("name", ["smallnorb", "mnist", "mnist-test"])
def test_the_card_holds_the_unpacked_files_checksums(name: str) -> None:
    card = (CARDS / f"{name.removesuffix('-test')}.md").read_text()
    for remote in registry.get("dataset", name).remotes:
        assert f"`{remote.unpacked.partition(':')[2]}`" in card


def test_published_sizes_of_the_others() -> None:
    assert math.prod(SmallNORB.factor_sizes) * SmallNORB.instances == 48_600
    assert (MNIST.size, MNISTTest.size) == (60_000, 10_000)
    assert registry.get("dataset", "mnist-test") is MNISTTest


# --- where the files come from


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which a web server offers it."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def at(address: str, file: Path) -> Remote:
    content = file.read_bytes()
    return Remote(file.name, (address + file.name,), "md5:" + hashlib.md5(content).hexdigest(), len(content))


def test_a_missing_file_is_downloaded(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    cls = type("Served", (TinyShapes,), {"remote": at(address, write_shapes(folder))})
    data = prepared(cls, tmp_path / "root")
    assert np.array_equal(data.rows, noise(48, 64, 64, 3))
    assert (tmp_path / "root/shapes3d/3dshapes.h5").exists()
    assert data.stored.attributes["source_checksum"] == cls.remote.checksum


def test_several_missing_files_are_downloaded(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    write_mnist(folder)
    remotes = tuple(at(address, folder / remote.file_name) for remote in MNIST.remotes)
    cls = type("Served", (TinyMNIST,), {"remotes": remotes})
    write_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()  # one is there, the other is fetched
    assert np.array_equal(prepared(cls, tmp_path).label_table, DIGITS)
    assert [path.name for path in (tmp_path / "mnist").glob("*.gz")] == ["train-images-idx3-ubyte.gz"]


def test_a_page_instead_of_the_file(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    (folder / "real3d_complicated_shapes_ordered.npz").write_bytes(HTML)
    remote = Remote(MPI3DComplex.remote.file_name, (address + MPI3DComplex.remote.file_name,))
    said = refusal(type("Served", (MPI3DComplex,), {"remote": remote}), tmp_path)
    for part in (address, "HTML page", str(tmp_path / "mpi3d-complex" / remote.file_name), "--source PATH"):
        assert part in said


@pytest.mark.parametrize("place", ["", "shapes3d", "elsewhere"])
def test_a_users_file_is_used_where_it_is(place: str, tmp_path: Path) -> None:
    (tmp_path / "root" / place).mkdir(parents=True)
    path = write_shapes(tmp_path / "root" / place)
    source = path.rename(path.with_name("any-name.h5")) if place == "elsewhere" else None
    data = prepared(TinyShapes, tmp_path / "root", source)
    assert data.source == ("any-name.h5" if source else "3dshapes.h5")
    assert np.array_equal(data.rows, noise(48, 64, 64, 3))


def test_another_file_of_the_right_name_is_refused(tmp_path: Path) -> None:
    path = write_shapes(tmp_path)
    said = refusal(Shapes3D, tmp_path)
    assert f"{path} is not the official file: expected 267573662 bytes, found {path.stat().st_size}" in said
    assert "fetch 3dshapes.h5 again from https://storage.googleapis.com/3d-shapes/3dshapes.h5" in said
    assert path.exists()


def test_several_files_need_a_folder(tmp_path: Path) -> None:
    folder = write_norb(tmp_path)
    file = folder / "smallnorb-5x46789x9x18x6x2x96x96-training-dat.mat.gz"
    assert "is one file; name the folder that holds smallnorb-" in refusal(TinyNORB, tmp_path / "root", file)
    file.unlink()
    said = refusal(TinyNORB, tmp_path / "root", folder)
    assert f"--source {folder} holds no {file.name} or {file.name.removesuffix('.gz')}" in said


def test_what_was_read_is_kept_and_told(tmp_path: Path) -> None:
    write_norb(tmp_path)
    data = prepared(TinyNORB, tmp_path / "root", tmp_path)
    assert data.read_from == tuple(str(tmp_path / remote.file_name) for remote in TinyNORB.remotes)
    assert prepared(Digits, tmp_path).read_from == ()


# --- unpacked files, which have no published archive's checksum


def known(cls: Any, folder: Path) -> Any:
    """The class for which the unpacked files in this folder are the official ones."""
    remotes = tuple(
        replace(remote, unpacked="md5:" + hashlib.md5((folder / remote.content().file_name).read_bytes()).hexdigest())
        for remote in cls.remotes
    )
    return type("Known", (cls,), {"remotes": remotes})


def unpack(folder: Path) -> Path:
    for path in list(folder.glob("*.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    return folder


@pytest.mark.parametrize(
    ("cls", "write", "changed"), [(TinyMNIST, write_mnist, "labels"), (TinyNORB, write_norb, "testing-dat")]
)
def test_unpacked_files_are_compared_with_the_unpacked_checksums(
    cls: Any, write: Callable[[Path], Path], changed: str, tmp_path: Path
) -> None:
    folder = unpack(write(tmp_path))
    official = known(cls, folder)
    assert prepared(official, tmp_path / "root", folder).checksum == prepared(cls, tmp_path / "other", folder).checksum
    path = next(path for path in folder.iterdir() if changed in path.name)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # one digit, or pixel, and the form is as before
    said = refusal(official, tmp_path / "third", folder)
    assert re.match(rf"{path} is not the official file: expected md5 \w{{32}}, found \w{{32}}\. ", said)


def test_fashion_mnist_is_not_taken_for_mnist(tmp_path: Path) -> None:
    """It has the same names, magic numbers, shapes and labels; here with its images alone made up."""
    images = np.random.default_rng(0).integers(256, size=(10_000, 28, 28), dtype=np.uint8)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/t10k-images-idx3-ubyte").write_bytes(idx(2051, images))
    (tmp_path / "raw/t10k-labels-idx1-ubyte").write_bytes(idx(2049, np.arange(10_000) % 10))
    said = refusal(MNISTTest, tmp_path / "root", tmp_path)
    assert "t10k-images-idx3-ubyte is not the official file: expected md5 2646ac647ad5339dbf082846283269ea" in said
    assert "Fashion-MNIST and KMNIST have a file of this name, too" in said
    (tmp_path / "raw/t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(2051, images)))
    assert "Fashion-MNIST and KMNIST have a file of this name" in refusal(MNISTTest, tmp_path / "root", tmp_path)


@pytest.mark.parametrize("name", ["fashion-mnist", "kmnist"])
def test_what_has_mnists_form_has_a_name_of_its_own(name: str, tmp_path: Path) -> None:
    official = registry.get("dataset", name)
    write_mnist(tmp_path)
    assert "MNIST and " in refusal(official, tmp_path / "root", tmp_path), "the files of another are refused"
    assert "is one file" in refusal(official, tmp_path / "root", tmp_path / "train-images-idx3-ubyte.gz")
    packed = tuple(known_packed(remote, tmp_path / remote.file_name) for remote in official.remotes)
    data = prepared(type("Tiny", (official,), {"size": 12, "remotes": packed}), tmp_path / "root", tmp_path)
    assert (data.name, data.image_shape, data.classes()) == (name, (1, 28, 28), 10)
    assert np.array_equal(data.images(np.arange(12))[:, 0], noise(12, 28, 28))
    assert np.array_equal(data.labels(np.arange(12)), DIGITS)
    data.verify()
    assert registry.get("dataset", f"{name}-test").size == 10_000
    assert registry.get("dataset", f"{name}-test-draft").whole.name == f"{name}-test"


def known_packed(remote: Remote, path: Path) -> Remote:
    return replace(remote, checksum=f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}")


def test_two_folders_of_idx_files_are_a_question(tmp_path: Path) -> None:
    for name in ("FashionMNIST", "MNIST"):
        (tmp_path / name).mkdir()
        write_mnist(tmp_path / name)
    said = refusal(TinyMNIST, tmp_path / "root", tmp_path)
    for name in ("FashionMNIST", "MNIST"):
        assert str(tmp_path / name / "train-images-idx3-ubyte.gz") in said


@pytest.mark.parametrize("file", ["images", "labels"])
def test_what_was_prepared_from_a_lookalike_before_is_found(file: str, tmp_path: Path) -> None:
    """When only the form was checked."""
    official = known(TinyMNIST, unpack(write_mnist(tmp_path)))
    prepared(official, tmp_path / "right", tmp_path).verify()
    other = idx(2051, noise(12, 28, 28)[::-1]) if file == "images" else idx(2049, DIGITS[::-1])
    next(tmp_path.glob(f"train-{file}-*")).write_bytes(other)
    TinyMNIST.prepare(tmp_path, source=tmp_path)
    with pytest.raises(
        UserError, match=rf"mnist\.h5 is not mnist: .* whose train-{file}-idx\d-ubyte has md5 .* Delete"
    ):
        official(tmp_path).verify()


# --- 3D Shapes


def test_shapes3d_rows_are_the_files_and_count_by_the_official_order(tmp_path: Path) -> None:
    write_shapes(tmp_path)
    data = prepared(TinyShapes, tmp_path)
    assert np.array_equal(data.images(np.arange(48)), noise(48, 64, 64, 3).transpose(0, 3, 1, 2))
    assert data.factors(5).tolist() == [[0, 0, 0, 1, 0, 1]]
    assert data.index([1, 0, 2, 1, 1, 0]).tolist() == [24 + 16 + 4 + 2]
    assert np.array_equal(data.labels([0, 2, 4, 6]), [0, 1, 0, 1])
    weights = np.array([48_000, 4_800, 480, 60, 15, 1])  # of floor, wall, object, scale, shape, orientation
    assert np.array_equal(weights[:-1] / weights[1:], Shapes3D.factor_sizes[1:])


@pytest.mark.parametrize("chunks", [(1, 64, 64, 3), (7, 16, 16, 1), (48, 4, 4, 1)])
def test_shapes3d_however_its_chunks_lie(chunks: tuple[int, ...], tmp_path: Path) -> None:
    write_shapes(tmp_path, chunks=chunks)
    assert np.array_equal(prepared(TinyShapes, tmp_path).rows, noise(48, 64, 64, 3))


def wrong_labels(kind: str) -> np.ndarray:
    labels = grid(TinyShapes.factor_sizes).astype(float)
    if kind == "swapped":
        labels[[10, 11]] = labels[[11, 10]]
    elif kind == "one value":
        labels[:, 4] = 0
    elif kind == "short":
        labels = labels[:-1]
    return labels


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("swapped", "not a full grid in order: row 10 has another 'orientation'"),
        ("one value", "hold 1 values of 'shape', expected 2"),
        ("short", r"its labels are \(47, 6\), expected \(48, 6\)"),
    ],
)
def test_shapes3d_whose_labels_are_no_full_grid(kind: str, words: str, tmp_path: Path) -> None:
    path = write_shapes(tmp_path, labels=wrong_labels(kind))
    said = refusal(TinyShapes, tmp_path)
    assert re.search(words, said)
    assert said.startswith(str(path))
    assert "fetch 3dshapes.h5 again from" in said


@pytest.mark.parametrize("damage", ["page", "cut", "corrupt", "shape", "type", "no labels"])
def test_shapes3d_damaged(damage: str, tmp_path: Path) -> None:
    path = write_shapes(tmp_path)
    whole = path.read_bytes()
    if damage == "page":
        path.write_bytes(HTML)
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "corrupt":
        with h5py.File(path) as hdf:
            chunk = hdf["images"].id.get_chunk_info(0)
        middle = chunk.byte_offset + chunk.size // 2
        path.write_bytes(whole[:middle] + bytes(100) + whole[middle + 100 :])
    elif damage == "shape":
        write_shapes(tmp_path, images=noise(48, 32, 32, 3))
    elif damage == "type":
        write_shapes(tmp_path, images=noise(48, 64, 64, 3) / 255)
    else:
        with h5py.File(path, "r+") as hdf:
            del hdf["labels"]
    said = refusal(TinyShapes, tmp_path)
    assert said.startswith(f"{path} can't be read: ")
    assert {"shape": "(48, 32, 32, 3), expected uint8 (48, 64, 64, 3)", "type": "float64"}.get(damage, "") in said


# --- MPI3D


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_mpi3d(save: Callable[..., None], tmp_path: Path) -> None:
    write_mpi(tmp_path, save)
    data = prepared(TinyMPI, tmp_path)
    assert np.array_equal(data.images(np.arange(48)), noise(48, 64, 64, 3).transpose(0, 3, 1, 2))
    assert data.index([1, 0, 0, 0, 1, 2, 1]).tolist() == [24 + 6 + 4 + 1]
    official = np.array([172_800, 28_800, 14_400, 4_800, 1_600, 40, 1])  # of the order that its authors state
    assert np.array_equal(official[:-1] / official[1:], MPI3DToy.factor_sizes[1:])


@pytest.mark.parametrize("damage", ["page", "cut", "corrupt", "key", "shape"])
def test_mpi3d_damaged(damage: str, tmp_path: Path) -> None:
    path = write_mpi(tmp_path)
    whole = path.read_bytes()
    if damage == "page":
        path.write_bytes(HTML)
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "corrupt":
        path.write_bytes(whole[:100_000] + bytes(100) + whole[100_100:])
    elif damage == "key":
        np.savez(path, pictures=noise(48, 64, 64, 3))
    else:
        np.savez(path, images=noise(47, 64, 64, 3))
    said = refusal(TinyMPI, tmp_path)
    assert said.startswith(f"{path} is not the official file: " if damage == "page" else f"{path} can't be read: ")
    assert "Delete it and fetch mpi3d_toy.npz again from https://huggingface.co/datasets/waleedgondal/mpi3d/" in said


def test_mpi3d_is_a_stream(tmp_path: Path) -> None:
    """74 MB of pixels pass through less than 20 MB of memory."""
    npz = zipfile.ZipFile(tmp_path / "mpi3d_toy.npz", "w", zipfile.ZIP_DEFLATED)
    with npz, npz.open("images.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (6000, 64, 64, 3)}
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(60):
            member.write(bytes(100 * 64 * 64 * 3))
    tracemalloc.start()
    type("Long", (TinyMPI,), {"factor_sizes": (6, 5, 2, 5, 5, 2, 2)}).prepare(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


# --- Cars3D


def test_cars3d_from_the_archive_and_from_the_tree(tmp_path: Path) -> None:
    archive = pack_cars(tmp_path)
    packed = prepared(TinyCars, tmp_path)
    tree = tmp_path / "unpacked"
    for n, source in enumerate((archive, tree, tree / "data", tree / "data/cars")):
        assert prepared(TinyCars, tmp_path / str(n), source).checksum == packed.checksum
    assert not list(tmp_path.glob("cars3d/*"))  # nothing was unpacked to the disk


def test_disentanglement_libs_folders_are_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", str(tmp_path / "lib"))
    (tmp_path / "lib/small_norb").mkdir(parents=True)
    write_cars(tmp_path).rename(tmp_path / "lib/cars")
    write_norb(tmp_path / "lib/small_norb")
    assert len(prepared(TinyCars, tmp_path / "root")) == 18
    assert len(prepared(TinyNORB, tmp_path / "root")) == 96


def test_cars3d_order_and_resizing(tmp_path: Path) -> None:
    write_cars(tmp_path)
    data = prepared(TinyCars, tmp_path)
    assert len(data) == 18
    for elevation, azimuth, car in grid((2, 3, 3)):
        image = data.images(data.index([elevation, azimuth, car]))[0]
        level = 10 * car + 3 * azimuth + elevation
        assert (image == image[0, :1]).all(), "the gradient runs from left to right, the same in all rows and colours"
        assert (
            abs(int(image[0, 0, 32]) - (64.5 + level)) <= 0.5
        )  # a ramp stays a ramp: pixel 32 is the mean of 64 and 65
    view = car_views(2)[..., 1, 0]
    lanczos = np.asarray(Image.fromarray(view).resize((64, 64), Image.Resampling.LANCZOS))
    assert np.array_equal(data.images(data.index([0, 1, 2]))[0], lanczos.transpose(2, 0, 1))


@pytest.mark.parametrize("damage", ["no list", "no car", "extra line", "cut car", "no im", "shape"])
def test_cars3d_damaged_tree(damage: str, tmp_path: Path) -> None:
    cars = write_cars(tmp_path)
    car = cars / "car_010_mesh.mat"
    words = "car_010_mesh.mat"
    if damage == "no list":
        (cars / "list.txt").unlink()
        words = "expected 3 cars, listed in its list.txt, found 0 of them"
    elif damage == "no car":
        car.unlink()
        words = "found no car_010_mesh.mat"
    elif damage == "extra line":
        (cars / "list.txt").write_text("".join(f"{name}\n" for name in (*CARS, "car_099_mesh")))
        words = "found no car_099_mesh.mat"
    elif damage == "cut car":
        car.write_bytes(car.read_bytes()[:2000])
    elif damage == "no im":
        savemat(car, {"mask": np.ones((2, 2))})
        words = "its 'im' is missing, expected uint8 (128, 128, 3, 3, 2)"
    else:
        savemat(car, {"im": car_views(0)[:64]})
        words = "(64, 128, 3, 3, 2), expected uint8 (128, 128, 3, 3, 2)"
    said = refusal(TinyCars, tmp_path)
    assert str(cars) in said
    assert words in said
    assert "fetch nips2015-analogy-data.tar.gz again from" in said


@pytest.mark.parametrize("damage", ["page", "cut", "corrupt"])
def test_cars3d_damaged_archive(damage: str, tmp_path: Path) -> None:
    path = pack_cars(tmp_path)
    whole = path.read_bytes()
    half = len(whole) // 2
    damaged = {"page": HTML, "cut": whole[:half], "corrupt": whole[:half] + bytes(300) + whole[half + 300 :]}
    path.write_bytes(damaged[damage])
    assert str(path) in refusal(TinyCars, tmp_path)


# --- SmallNORB


def test_smallnorb(tmp_path: Path) -> None:
    write_norb(tmp_path)
    data = prepared(TinyNORB, tmp_path)
    rows = grid((2, 2, 3, 2, 4))  # the instance, last, is no factor
    assert not data.full_grid
    assert np.array_equal(data.factors(np.arange(96)), rows[:, :4])
    assert np.array_equal(data.labels(np.arange(96)), rows[:, 0])
    assert data.classes() == 2
    level = rows @ [100, 40, 10, 4, 1]
    assert np.array_equal(data.images(np.arange(96))[:, 0], np.broadcast_to(level[:, None, None], (96, 64, 64)))
    with pytest.raises(UserError, match="not a full grid"):
        data.index([0, 0, 0, 0])


def test_smallnorb_unpacked_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    for name, content in norb_contents().items():
        (tmp_path / "plain" / name).write_bytes(content)
    write_norb(tmp_path)
    packed = prepared(TinyNORB, tmp_path)
    assert prepared(TinyNORB, tmp_path / "root", tmp_path / "plain").checksum == packed.checksum


def patched(content: bytes, place: int, value: int) -> bytes:
    """The content with one little-endian integer replaced."""
    return content[:place] + value.to_bytes(4, "little") + content[place + 4 :]


@pytest.mark.parametrize(
    ("kind", "damage", "words"),
    [
        ("dat", lambda c: c[3::-1] + c[4:], "it starts with 0x554c3d1e"),  # big-endian
        ("dat", lambda c: patched(c, 0, 0x1E3D4C54), "expected the magic number 0x1e3d4c55"),
        ("dat", lambda c: patched(c, 8, 47), r"its matrix is \(47, 2, 96, 96\), expected \(48, 2, 96, 96\)"),
        ("dat", lambda c: c[:-5], "it ends 5 bytes early"),
        ("dat", lambda c: c + b"\0", "it goes on after its data"),
        ("cat", lambda c: patched(c, 4, 2), "2 dimensions, expected the magic number 0x1e3d4c54 and 1"),
        ("cat", lambda c: patched(c, 20, 7), "can't be used: .* not every combination"),
        ("info", lambda c: patched(c, 20 + 8, 1), "it holds the azimuth 1, expected even numbers"),
        ("info", lambda c: patched(c, 20 + 12, 1 - c[20 + 12]), "can't be used: .* not every combination"),
    ],
)
def test_smallnorb_damaged(kind: str, damage: Callable[[bytes], bytes], words: str, tmp_path: Path) -> None:
    write_norb(tmp_path)
    name = f"smallnorb-5x46789x9x18x6x2x96x96-training-{kind}.mat"
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(damage(norb_contents()[name])))
    said = refusal(TinyNORB, tmp_path)
    assert re.search(words, said)
    assert "smallnorb-5x46789x9x18x6x2x96x96-training-" in said
    assert "fetch it again from https://cs.nyu.edu/" in said


# --- MNIST


def test_mnist(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    data = prepared(TinyMNIST, tmp_path)
    assert np.array_equal(data.images(np.arange(12))[:, 0], noise(12, 28, 28))
    assert np.array_equal(data.labels(np.arange(12)), DIGITS)
    assert (data.classes(), data.class_names[9], data.factor_names) == (10, "9", ())
    assert data.factors([0, 3]).shape == (2, 0)
    with pytest.raises(UserError, match="annotated with their digit alone"):
        data.index([0])


def test_mnist_test_images_are_another_dataset(tmp_path: Path) -> None:
    test = type("TinyTest", (MNISTTest,), {"size": 3, "remotes": tuple(map(unchecked, MNISTTest.remotes))})
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(2051, noise(3, 28, 28)))  # unpacked
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(2049, DIGITS[:3]))
    assert np.array_equal(prepared(test, tmp_path).label_table, [5, 0, 4])
    assert (tmp_path / "mnist-test.h5").exists()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (
            "images-idx3",
            gzip.compress(idx(2049, noise(12, 28, 28))),
            "it starts with 2049, expected the magic number 2051",
        ),
        ("images-idx3", gzip.compress(idx(2051, noise(11, 28, 28))), "it holds (11, 28, 28), expected (12, 28, 28)"),
        ("images-idx3", gzip.compress(idx(2051, noise(12, 28, 28))[:-9]), "it ends 9 bytes early"),
        ("images-idx3", gzip.compress(idx(2051, noise(12, 28, 28)))[:-9], "end-of-stream"),
        ("images-idx3", gzip.compress(idx(2051, noise(12, 28, 28)))[:-8] + bytes(8), "CRC"),
        ("images-idx3", HTML, "Not a gzipped file"),
        ("images-idx3", b"", "it ends 4 bytes early"),
        ("labels-idx1", gzip.compress(idx(2049, DIGITS + 1)), "it holds the value 10, expected 0 to 9"),
        ("labels-idx1", gzip.compress(idx(2049, DIGITS) + b"\1"), "it goes on after its data"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # a gzip's bytes hold the time
)
def test_mnist_damaged(file: str, content: bytes, words: str, tmp_path: Path) -> None:
    write_mnist(tmp_path)
    path = tmp_path / f"train-{file}-ubyte.gz"
    path.write_bytes(content)
    said = refusal(TinyMNIST, tmp_path)
    assert said.startswith(f"{path} can't be read: ")
    assert words in said
    assert f"fetch {path.name} again from" in said


# --- digits


def test_digits(tmp_path: Path) -> None:
    data = prepared(Digits, tmp_path)
    official = load_digits()
    assert len(data) == 1797
    assert np.array_equal(data.labels(np.arange(1797)), official.target)
    assert np.bincount(data.label_table).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    images = data.images(np.arange(1797))[:, 0]
    inside = np.zeros((28, 28), dtype=bool)
    inside[4:24, 4:24] = True
    assert not images[:, ~inside].any()
    # A mean is kept by the enlargement but for what the cut at 0 and 255 adds.
    assert images[:, inside].mean() == pytest.approx(official.images.mean() * 255 / 16, rel=0.02)
    assert f"`{data.checksum}`" in (CARDS / "digits.md").read_text()


def test_enlarge_by_hand() -> None:
    assert enlarge(np.zeros((8, 8))).max() == 0
    full = enlarge(np.full((8, 8), 16.0))
    assert (full[4:24, 4:24] == 255).all()
    assert full.sum() == 400 * 255
    half = np.zeros((8, 8))
    half[:, 4:] = 8  # the right half is 8 of 16, which is 127.5: 128
    assert (enlarge(half)[4:24, 21:24] == 128).all()
    assert (enlarge(half)[4:24, 4:7] == 0).all()


def test_digits_take_no_source(tmp_path: Path) -> None:
    assert "comes with scikit-learn; leave --source out" in refusal(Digits, tmp_path, tmp_path)
