"""dSprites: its pixels against published frames and an independent drawing, its order, its file and its failures."""

import errno
import hashlib
import itertools
import os
import pickle
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon

from disentangle_bench import datasets
from disentangle_bench.contracts import Dataset
from disentangle_bench.datasets import dsprites_geometry as geometry
from disentangle_bench.datasets import storage
from disentangle_bench.datasets.download import Remote
from disentangle_bench.datasets.dsprites import DSprites, DSprites32
from disentangle_bench.errors import UserError
from tests.helpers import ROOT, TESTS

SIZES = (3, 6, 40, 32, 32)
REGENERATED_SHA256 = "cea87b07ee5dc716a592a23340a7424733ced429163a54a60853090f6546612c"


class Tiny(DSprites):
    """The same dataset's first values, so that a test can prepare it in milliseconds."""

    factor_sizes = (3, 2, 3, 4, 4)


@pytest.fixture(scope="module")
def dsprites(data_root: Path) -> Dataset:
    return datasets.load("dsprites", data_root)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The file of a prepared `Tiny` in `tmp_path`."""
    return Tiny.prepare(tmp_path)


# --- pixels


def test_published_frames(dsprites: Dataset) -> None:
    published = np.load(TESTS / "data/dsprites_published_frames.npz")
    assert len(published["frames"]) == 160
    wrong = np.bitwise_count(dsprites.rows[dsprites.index(published["factors"])] ^ published["frames"]).sum(axis=(1, 2))
    assert (wrong == 0).sum() >= 156
    assert wrong.max() <= 2


def test_content_is_what_the_card_says(dsprites: Any) -> None:
    if dsprites.source != "regenerated":
        pytest.skip("this data root holds the official file's images")
    assert dsprites.checksum == REGENERATED_SHA256
    card = ROOT / "datasets"
    assert REGENERATED_SHA256 in (card / "dsprites.md").read_text()
    assert REGENERATED_SHA256 in (card / "dsprites-32.md").read_text()
    dsprites.verify()


def test_pixel_counts_at_the_corners() -> None:
    """All 720 poses at the four extreme positions, whose centres lie on pixel corners: four times one image."""
    counts = np.empty((3, 6, 40), dtype="<u2")
    for pose in np.ndindex(counts.shape):
        images = geometry.draw_pose(*pose).reshape(32, 32, 64, 8)
        corners = [int(np.bitwise_count(images[i, j]).sum()) for i in (0, 31) for j in (0, 31)]
        assert len(set(corners)) == 1, f"pose {pose}: {corners}"
        counts[pose] = corners[0]
    # by hand: an axis-aligned square holds the half-integers within ±9.5975·s, squared
    assert counts[0, :, 0].tolist() == [100, 144, 196, 256, 324, 400]
    assert counts[1, :, 0].tolist() == [76, 104, 144, 184, 228, 288]
    assert counts[2, :, 0].tolist() == [58, 84, 108, 140, 180, 222]
    assert counts.sum(axis=2).tolist() == [
        [3728, 5392, 7296, 9496, 12032, 14808],
        [2916, 4156, 5676, 7472, 9360, 11568],
        [2244, 3282, 4372, 5772, 7244, 8994],
    ]
    digest = "e5eff25af3e18a3bf8ef3511e15cc4ae352cfefebd87faaccc721aa49049f9d5"
    assert hashlib.sha256(counts.tobytes()).hexdigest() == digest


def slow_drawing(factors: np.ndarray) -> np.ndarray:
    """One image, pixel by pixel over the whole frame, from outlines in image coordinates: bool (64, 64)."""
    shape, scale, orientation, i, j = (int(value) for value in factors)
    s, theta, x, y = 0.5 + scale / 10, 2 * np.pi * orientation / 39, 16 + 32 * i / 31, 16 + 32 * j / 31
    t = np.linspace(0, 2 * np.pi, 8001)
    if shape == 0:
        u, v = 9.5975 * np.array([-1, 1, 1, -1, -1]), 9.5975 * np.array([-1, -1, 1, 1, -1])
    elif shape == 1:
        u, v = 12.766 * np.cos(t), 7.2123 * np.sin(t)
    else:
        u = 9.59365 * np.sin(t) ** 3
        v = -(0.662221 * (13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) + 1.436211)
    outline = np.stack(
        [x + s * (np.cos(theta) * u + np.sin(theta) * v), y + s * (np.cos(theta) * v - np.sin(theta) * u)]
    )
    centres = np.array([(column + 0.5, row + 0.5) for row in range(64) for column in range(64)])
    return Polygon(outline.T).contains_points(centres).reshape(64, 64)


def test_independent_drawing() -> None:
    rng = np.random.default_rng(0)
    sample = rng.integers(SIZES, size=(60, 5))
    sample[:, 0] = np.arange(60) % 3
    differ = []
    for factors in sample:
        shape, scale, orientation, i, j = factors
        drawn = geometry.draw_pose(shape, scale, orientation)[i * 32 + j]
        differ.append(int((np.unpackbits(drawn, axis=-1) != slow_drawing(factors)).sum()))
    assert max(differ) <= 1  # the polygon cuts its curve's corners by less than a thousandth of a pixel
    assert sum(differ) <= 2


def test_no_pixel_hangs_on_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pixel centre lies so near an outline that another machine's sine or cube root could flip it."""
    exact, poses = geometry.inside, [(2, 5, 7), (2, 0, 4), (1, 3, 20), (0, 4, 0), (0, 1, 13)]
    before = [geometry.draw_pose(*pose) for pose in poses]
    for factor in (1 - 1e-9, 1 + 1e-9):
        monkeypatch.setattr(geometry, "inside", lambda shape, u, v, f=factor: exact(shape, f * u, f * v))
        for pose, images in zip(poses, before, strict=True):
            assert np.array_equal(geometry.draw_pose(*pose), images)


def test_shapes_stay_within_their_reach() -> None:
    angle = np.linspace(0, 2 * np.pi, 10_000)
    for shape, reach in enumerate(geometry.REACH):
        for radius in np.linspace(reach, 2 * reach, 20):
            assert not geometry.inside(shape, radius * np.cos(angle), radius * np.sin(angle)).any()


def test_orientations_0_and_39_are_the_same_images(dsprites: Dataset) -> None:
    grid = dsprites.rows.reshape(3, 6, 40, 1024, 64, 8)
    assert np.array_equal(grid[:, :, 0], grid[:, :, 39])
    assert grid[:, :, 0].size // 512 == 18_432
    assert dsprites.same_image == {"orientation": {39: 0}}
    assert not np.array_equal(grid[:, :, 0], grid[:, :, 38])


# --- order and indices


def test_order(dsprites: Dataset) -> None:
    assert len(dsprites) == 737_280
    assert dsprites.factor_names == ("shape", "scale", "orientation", "posX", "posY")
    weights = np.array([245_760, 40_960, 1024, 32, 1])  # the official ones
    sample = np.random.default_rng(1).integers(SIZES, size=(50, 5))
    assert np.array_equal(dsprites.index(sample), sample @ weights)
    for factors, row in zip(sample, dsprites.rows[sample @ weights], strict=True):
        alone = geometry.draw_pose(*factors[:3])[factors[3] * 32 + factors[4]]
        assert np.bitwise_count(row ^ alone).sum() <= 2
    corner = dsprites.images(dsprites.index([[0, 0, 0, 0, 31], [0, 0, 0, 31, 0]]))[:, 0] > 0
    assert corner[0, 48, 16]  # posX is the column, from the left; posY the row, from the top
    assert not corner[0, 16, 48]
    assert corner[1, 16, 48]


@given(st.lists(st.tuples(*(st.integers(0, size - 1) for size in SIZES)), min_size=1, max_size=20))
def test_factors_and_index_are_inverse(dsprites: Dataset, factors: list[tuple[int, ...]]) -> None:
    index = dsprites.index(factors)
    assert index.dtype == np.int64
    assert np.array_equal(dsprites.factors(index), factors)


@given(st.lists(st.integers(0, 737_279), min_size=1, max_size=20))
def test_index_and_factors_are_inverse(dsprites: Dataset, index: list[int]) -> None:
    assert np.array_equal(dsprites.index(dsprites.factors(index)), index)


def test_one_index_none_and_wrong_ones(dsprites: Dataset) -> None:
    assert dsprites.images(5).shape == (1, 1, 64, 64)
    assert dsprites.images([]).shape == (0, 1, 64, 64)
    assert dsprites.index([0, 0, 0, 0, 7]).tolist() == [7]
    for index, names in [([3, -1], "index -1"), ([737_280], "index 737280"), ([0.5], "float64"), ([[1]], "(1, 1)")]:
        with pytest.raises(UserError, match="dsprites") as caught:
            dsprites.images(index)
        assert names in str(caught.value)
        with pytest.raises(UserError, match="dsprites"):
            dsprites.factors(index)
    with pytest.raises(UserError, match="'scale' of dsprites takes whole values 0 to 5, not 6"):
        dsprites.index([0, 6, 0, 0, 0])
    with pytest.raises(UserError, match=r"'scale'.*not 0\.5"):
        dsprites.index([0, 0.5, 0, 0, 0])
    with pytest.raises(UserError, match=r"has 5 factors \(shape, scale"):
        dsprites.index([0, 0, 0, 0])


# --- decoding


@pytest.fixture(scope="module")
def packed() -> np.ndarray:
    """Rows of every byte and of noise, which dSprites itself never holds: uint8 (N, 64, 8)."""
    noise = np.random.default_rng(2).integers(256, size=(40, 64, 8), dtype=np.uint8)
    return np.concatenate([np.arange(512).astype(np.uint8).reshape(1, 64, 8), noise])


@pytest.mark.parametrize(("cls", "side"), [(DSprites, 64), (DSprites32, 32)])
def test_decode_on_torch_is_decode_on_numpy(data_root: Path, packed: np.ndarray, cls: type, side: int) -> None:
    decode = cls(data_root).decode
    images = decode(packed)
    assert isinstance(images, np.ndarray)
    assert (images.dtype, images.shape) == (np.uint8, (len(packed), 1, side, side))
    on_torch = decode(torch.from_numpy(packed))
    assert on_torch.dtype == torch.uint8
    assert np.array_equal(on_torch.numpy(), images)
    strided = torch.from_numpy(packed)[::2].flip(0)
    assert np.array_equal(decode(strided).numpy(), images[::2][::-1])
    assert decode(strided[:0]).shape == decode(packed[:0]).shape == (0, 1, side, side)


def test_values(data_root: Path, packed: np.ndarray, dsprites: Dataset) -> None:
    images = dsprites.decode(packed)
    assert np.unique(images).tolist() == [0, 255]
    assert np.array_equal(np.packbits(images[:, 0] > 0, axis=-1), packed)
    small = datasets.load("dsprites-32", data_root)
    assert np.unique(small.decode(packed)).tolist() == [0, 64, 128, 191, 255]
    mean = images.reshape(-1, 1, 32, 2, 32, 2).mean(axis=(3, 5))
    assert np.array_equal(small.decode(packed), np.round(mean))
    assert small.checksum == f"{dsprites.checksum}:area-32"
    assert (small.name, small.image_shape, len(small)) == ("dsprites-32", (1, 32, 32), len(dsprites))


# --- the data root and load


def test_data_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DISENTANGLE_BENCH_DATA", str(tmp_path / "named"))
    assert datasets.data_root() == tmp_path / "named"
    assert datasets.data_root(tmp_path / "given") == tmp_path / "given"
    monkeypatch.delenv("DISENTANGLE_BENCH_DATA")
    monkeypatch.chdir(tmp_path)
    assert datasets.data_root() == tmp_path / "datasets"


def test_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], data_root: Path
) -> None:
    with pytest.raises(UserError, match=r"unknown dataset 'dsprite'\. Did you mean 'dsprites'"):
        datasets.load("dsprite")
    with pytest.raises(UserError, match=r"disentangle-bench datasets prepare dsprites$"):
        datasets.load("dsprites", tmp_path, prepare=False)
    with pytest.raises(UserError, match=r"disentangle-bench datasets prepare dsprites-32$"):
        DSprites32(tmp_path)
    assert list(tmp_path.iterdir()) == []

    monkeypatch.setattr("disentangle_bench.registry.get", lambda kind, name: Tiny)
    seen: list[tuple[int, int]] = []
    loaded = datasets.load("tiny", tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert capsys.readouterr().err == f"tiny: preparing it under {tmp_path}, once\n"
    assert seen[-1] == (288, 288)
    assert datasets.load("tiny", tmp_path).checksum == loaded.checksum
    assert capsys.readouterr().err == ""


def test_a_tiny_grid_is_the_corner_of_the_full_one(dsprites: Any, tiny: Path) -> None:
    if dsprites.source != "regenerated":
        pytest.skip("this data root holds the official file's images")
    small = Tiny(tiny.parent)
    assert np.array_equal(small.rows, dsprites.rows.reshape(*SIZES, 64, 8)[:3, :2, :3, :4, :4].reshape(288, 64, 8))


def test_a_pickled_dataset_is_small(dsprites: Dataset) -> None:
    pickled = pickle.dumps(dsprites)
    assert len(pickled) < 1000
    assert np.array_equal(pickle.loads(pickled).images([77]), dsprites.images([77]))


def test_attributes_and_mapping(tiny: Path) -> None:
    data = Tiny(tiny.parent)
    with h5py.File(tiny, "r") as hdf:
        attributes = dict(hdf.attrs)
        assert (hdf["rows"].chunks, hdf["rows"].compression, hdf["rows"].shape) == (None, None, (288, 64, 8))
        assert np.array_equal(hdf["rows"][:], data.rows)
    assert attributes["format_version"] == 1
    assert (attributes["name"], attributes["source"], attributes["source_checksum"]) == ("dsprites", "regenerated", "")
    assert attributes["content_sha256"] == data.checksum == hashlib.sha256(data.rows.tobytes()).hexdigest()
    assert list(attributes["factor_names"]) == list(Tiny.factor_names)
    assert attributes["factor_sizes"].tolist() == list(Tiny.factor_sizes)
    assert isinstance(data.rows.base, np.memmap)
    before = tiny.read_bytes()
    data.rows[0] ^= 255  # the map is copy on write: torch wants an array that it may write to, and the file stays
    assert tiny.read_bytes() == before


# --- the official npz


def official(folder: Path, cls: type[DSprites] = Tiny) -> type[DSprites]:
    """Put a file in the official format, images marked in one corner, into `folder`; the class that trusts it."""
    n = int(np.prod(cls.factor_sizes))
    rows = np.concatenate(list(geometry.draw_grid(cls.factor_sizes)))
    images = np.unpackbits(rows, axis=-1)
    images[:, 0, 0] = 1
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / cls.npz_name
    np.savez_compressed(
        path,
        metadata=np.array({"title": "dSprites"}, dtype=object),  # pickled, as the official one is; never to be opened
        imgs=images,
        latents_classes=np.zeros((n, 6), dtype=np.int64),
        latents_values=np.zeros((n, 6)),
    )
    return type("Official", (cls,), {"npz_md5": hashlib.md5(path.read_bytes()).hexdigest()})


@pytest.mark.parametrize("place", [".", "dsprites"])
def test_npz_is_used(tmp_path: Path, place: str) -> None:
    cls = official(tmp_path / place)
    cls.prepare(tmp_path)
    data = cls(tmp_path)
    assert data.source == cls.npz_name
    assert data.stored.attributes["source_checksum"] == f"md5:{cls.npz_md5}"
    images = data.images(np.arange(len(data)))
    assert (images[:, 0, 0, 0] == 255).all()
    images[:, 0, 0, 0] = 0
    Tiny.prepare(tmp_path / "redrawn")
    assert np.array_equal(images, Tiny(tmp_path / "redrawn").images(np.arange(288)))

    (tmp_path / place / cls.npz_name).unlink()  # what was made from it stays
    assert cls(tmp_path).checksum == data.checksum


def test_npz_with_a_wrong_checksum(tmp_path: Path) -> None:
    official(tmp_path)
    npz = tmp_path / Tiny.npz_name
    found = hashlib.md5(npz.read_bytes()).hexdigest()
    with pytest.raises(UserError) as caught:
        Tiny.prepare(tmp_path)
    for part in (str(npz), Tiny.npz_md5, found, "github.com/deepmind/dsprites-dataset", "remove it"):
        assert part in str(caught.value)
    assert not (tmp_path / Tiny.file_name).exists()
    npz.unlink()
    assert Tiny.prepare(tmp_path).exists()


@pytest.mark.parametrize("how", ["prepare", "constructor", "load"])
def test_npz_arrives_later(tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Tiny.prepare(tmp_path)
    redrawn = Tiny(tmp_path)
    cls = official(tmp_path)
    assert cls.prepared(tmp_path) is None
    if how == "prepare":
        cls.prepare(tmp_path)
    monkeypatch.setattr("disentangle_bench.registry.get", lambda kind, name: cls)
    data = datasets.load("tiny", tmp_path) if how == "load" else cls(tmp_path)
    assert data.checksum != redrawn.checksum
    assert data.images([0])[0, 0, 0, 0] == 255
    assert redrawn.images([0])[0, 0, 0, 0] == 0  # who had mapped the old file keeps it


def test_a_wrong_npz_that_arrives_later_is_an_error_not_a_fallback(tiny: Path) -> None:
    (tiny.parent / Tiny.npz_name).write_text("<html>404</html>")
    before = tiny.read_bytes()
    for attempt in (Tiny, Tiny.prepare):
        with pytest.raises(UserError, match="expected md5"):
            attempt(tiny.parent)
    assert tiny.read_bytes() == before


def spoil(cls: type[DSprites], npz: Path, how: str) -> None:
    whole = npz.read_bytes()
    if how == "cut":
        npz.write_bytes(whole[: len(whole) // 2])
    elif how == "flipped":
        npz.write_bytes(whole[:2000] + bytes([whole[2000] ^ 255]) + whole[2001:])
    elif how == "values":
        np.savez_compressed(npz, imgs=np.full((288, 64, 64), 255, dtype=np.uint8))
    elif how == "shape":
        np.savez_compressed(npz, imgs=np.zeros((287, 64, 64), dtype=np.uint8))
    elif how == "pickle":
        np.savez_compressed(npz, imgs=np.array([{}], dtype=object))
    else:
        np.savez_compressed(npz, images=np.zeros(3))
    cls.npz_md5 = hashlib.md5(npz.read_bytes()).hexdigest()


@pytest.mark.parametrize("how", ["cut", "flipped", "values", "shape", "pickle", "key"])
def test_unreadable_npz(tmp_path: Path, how: str) -> None:
    """Even where the checksum holds, and never half a file."""
    cls = official(tmp_path)
    npz = tmp_path / cls.npz_name
    spoil(cls, npz, how)
    with pytest.raises(UserError, match=r"can't be read.*or remove it") as caught:
        cls.prepare(tmp_path)
    assert str(npz) in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} <= {cls.npz_name, ".dsprites.h5.lock"}


def official_hdf5(folder: Path, **layout: Any) -> type[DSprites]:
    """The same images, marked in another corner, as the official HDF5 file has them; the class that trusts it."""
    n = int(np.prod(Tiny.factor_sizes))
    images = np.unpackbits(np.concatenate(list(geometry.draw_grid(Tiny.factor_sizes))), axis=-1)
    images[:, 0, 63] = 1
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Tiny.hdf5.file_name
    with h5py.File(path, "w") as hdf:
        hdf.create_dataset("imgs", data=images, compression="gzip", **layout)
        hdf["latents/classes"] = np.zeros((n, 6), dtype=np.int64)
        hdf["latents/values"] = np.zeros((n, 6))
    checksum = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    return type("Official", (Tiny,), {"hdf5": Remote(path.name, (), checksum, path.stat().st_size)})


@pytest.mark.parametrize("layout", [{}, {"chunks": (100, 2, 4)}])  # the official one's chunks are of that form
@pytest.mark.parametrize("place", ["data root", "source"])
def test_the_official_hdf5_is_read(tmp_path: Path, place: str, layout: dict[str, Any]) -> None:
    if place == "data root":
        cls, source = official_hdf5(tmp_path / "dsprites", **layout), None
        path = tmp_path / "dsprites" / cls.hdf5.file_name
    else:
        cls = official_hdf5(tmp_path / "elsewhere", **layout)
        path = source = (tmp_path / "elsewhere" / cls.hdf5.file_name).rename(tmp_path / "any name")
    cls.prepare(tmp_path, source=source)
    data = cls(tmp_path)
    assert data.read_from == (str(path),)
    assert data.stored.attributes["source_checksum"] == cls.hdf5.checksum
    images = data.images(np.arange(len(data)))
    assert (images[:, 0, 0, 63] == 255).all()
    images[:, 0, 0, 63] = 0
    Tiny.prepare(tmp_path / "redrawn")
    assert np.array_equal(images, Tiny(tmp_path / "redrawn").images(np.arange(288)))


def test_the_official_hdf5_arrives_later(tmp_path: Path) -> None:
    Tiny.prepare(tmp_path)
    cls = official_hdf5(tmp_path)
    assert cls.prepared(tmp_path) is None
    assert cls(tmp_path).images([0])[0, 0, 0, 63] == 255


def test_another_hdf5_is_refused_and_what_is_meant_is_named(tmp_path: Path) -> None:
    official_hdf5(tmp_path)
    with pytest.raises(UserError) as caught:
        Tiny.prepare(tmp_path)
    for part in (Tiny.hdf5.file_name, "expected 28024106 bytes", ".npz", ".hdf5", "remove it"):
        assert part in str(caught.value)


# --- damage


def assert_damaged(path: Path, verify: bool = False) -> str:
    use = Tiny(path.parent).verify if verify else lambda: Tiny(path.parent)
    with pytest.raises(UserError) as caught:
        use()
    message = str(caught.value)
    for part in (str(path), "expected", "found", "Delete it", "disentangle-bench datasets prepare dsprites"):
        assert part in message
    return message


@pytest.mark.parametrize("length", [0, 7, 100, 1000, 50_000, -1])
def test_truncated(tiny: Path, length: int) -> None:
    whole = tiny.read_bytes()
    tiny.write_bytes(whole[:length])
    assert_damaged(tiny)
    with pytest.raises(UserError, match="Delete it"):
        Tiny.prepare(tiny.parent)
    tiny.unlink()
    Tiny.prepare(tiny.parent)
    Tiny(tiny.parent).verify()


def test_overwritten_content(tiny: Path) -> None:
    with h5py.File(tiny, "r") as hdf:
        offset = hdf["rows"].id.get_offset()
    with tiny.open("r+b") as file:
        file.seek(offset + 60_000)
        file.write(b"damage")
    assert "sha256" in assert_damaged(tiny, verify=True)


def test_overwritten_headers(tiny: Path) -> None:
    """Any damaged byte outside the images is found when the file opens, or changes nothing that is read."""
    whole = tiny.read_bytes()
    with h5py.File(tiny, "r") as hdf:
        start = hdf["rows"].id.get_offset()
    end, good = start + 288 * 512, Tiny(tiny.parent).checksum
    found = 0
    for position in itertools.chain(range(0, start, 7), range(end, len(whole), 7)):
        tiny.write_bytes(whole[:position] + bytes([whole[position] ^ 0x5A]) + whole[position + 1 :])
        try:
            data = Tiny(tiny.parent)
            data.verify()
            assert data.checksum == good
        except UserError:
            found += 1
    assert found > 20


@pytest.mark.parametrize("what", ["text", "folder", "version", "no version", "shape", "chunked", "type", "group"])
def test_not_a_prepared_file(tiny: Path, what: str) -> None:
    if what == "text":
        tiny.write_text("<html>404</html>")
    elif what == "folder":
        tiny.unlink()
        tiny.mkdir()
    else:
        with h5py.File(tiny, "r+") as hdf:
            if what == "version":
                hdf.attrs["format_version"] = 99
            elif what == "no version":
                del hdf.attrs["format_version"]
            else:
                del hdf["rows"]
                if what == "shape":
                    hdf["rows"] = np.zeros((287, 64, 8), dtype=np.uint8)
                elif what == "chunked":
                    hdf.create_dataset("rows", data=np.zeros((288, 64, 8), dtype=np.uint8), chunks=(16, 64, 8))
                elif what == "type":
                    hdf["rows"] = np.zeros((288, 64, 8))
                else:
                    hdf.create_group("rows")
    message = assert_damaged(tiny)
    expected = {"version": "99", "no version": "none", "shape": "(287, 64, 8)", "type": "float64"}
    assert expected.get(what, "") in message


# --- places that can't be written, and processes that die


@pytest.mark.parametrize("kind", ["FIFO", "device"])
def test_a_prepared_file_that_is_no_file_is_not_opened(tiny: Path, kind: str) -> None:
    tiny.unlink()
    os.mkfifo(tiny) if kind == "FIFO" else tiny.symlink_to("/dev/zero")
    with pytest.raises(UserError, match=rf"expected a file, found a {kind}.*Delete it and run"):
        Tiny(tiny.parent)


@pytest.mark.parametrize("how", ["claims", "elsewhere", "objects"])
def test_a_table_is_stored_as_it_was_written(tmp_path: Path, how: str) -> None:
    """One that claims terabytes in no bytes, one that lies in another file, and one of something else than numbers."""
    storage.write(tmp_path / "x.h5", (2, 3), [np.ones((2, 3), np.uint8)], {"name": "x", "source": "made"})
    (tmp_path / "other.h5").write_bytes((tmp_path / "x.h5").read_bytes())
    with h5py.File(tmp_path / "x.h5", "r+") as hdf:
        if how == "claims":
            hdf.create_dataset("factors", (1 << 40, 2), np.int64, chunks=(1024, 2), compression="gzip")
        elif how == "elsewhere":
            hdf["factors"] = h5py.ExternalLink("other.h5", "rows")
        else:
            hdf["factors"] = np.array([b"a", b"b"], dtype=object)
    with pytest.raises(
        UserError, match=r"x\.h5 is damaged or of another version: expected an HDF5 file with its tables"
    ):
        storage.read_tables(tmp_path / "x.h5", "x")


def test_read_only_root(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prepared file is opened without a lock, and nothing is written beside it."""
    (tiny.parent / ".dsprites.h5.lock").unlink(missing_ok=True)
    tiny.chmod(0o444)
    tiny.parent.chmod(0o555)
    monkeypatch.setattr(storage, "locked", None)  # for whoever may write everywhere, as root may
    try:
        Tiny.prepare(tiny.parent)
        Tiny(tiny.parent).verify()
        assert [p.name for p in tiny.parent.iterdir()] == [tiny.name]
    finally:
        tiny.parent.chmod(0o755)


def test_unwritable_root(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    for root in (file, file / "sub"):
        with pytest.raises(UserError, match=r"can't write .*: (not a directory|file exists)\. .*_DATA") as caught:
            Tiny.prepare(root)
        assert str(root) in str(caught.value)
        with pytest.raises(UserError, match="does not exist"):
            Tiny(root)
    assert file.read_text() == "in the way"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_forbidden_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(UserError, match="permission denied"):
            Tiny.prepare(tmp_path)
    finally:
        tmp_path.chmod(0o755)


def test_disk_full_midway(tmp_path: Path) -> None:
    def blocks() -> Iterator[np.ndarray]:
        yield np.zeros((3, 8), dtype=np.uint8)
        assert len(list(tmp_path.glob(".x.h5.*.tmp"))) == 1
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "x.h5"
    path.write_text("what was there")
    with pytest.raises(UserError, match=r"x\.h5: no space left on device"), storage.locked(path):
        storage.write(path, (6, 8), blocks(), {"source": "test"})
    assert path.read_text() == "what was there"
    assert list(tmp_path.glob(".x.h5.*.tmp")) == []


@pytest.mark.parametrize("lengths", [[3, 2], [3, 4], []])
def test_blocks_must_fill_the_file(tmp_path: Path, lengths: list[int]) -> None:
    blocks = (np.zeros((n, 8), dtype=np.uint8) for n in lengths)
    with pytest.raises(ValueError, match="rows"), storage.locked(tmp_path / "x.h5"):
        storage.write(tmp_path / "x.h5", (6, 8), blocks, {"source": "test"})
    assert [p.name for p in tmp_path.iterdir()] == [".x.h5.lock"]


CHILD = """
import sys
from pathlib import Path
from disentangle_bench.datasets.dsprites import DSprites
from disentangle_bench.errors import UserError

class Tiny(DSprites):
    factor_sizes = (3, 2, 3, 4, 4)

calls = 0
def progress(done, total):
    global calls
    calls += 1
    if calls == 2:
        print("midway", flush=True)
        sys.stdin.readline()

print("going", flush=True)
"""


def child(code: str, *arguments: object, limit: int | None = None) -> subprocess.Popen[str]:
    """A Python process that runs CHILD and then `code`; limit: the largest file that it may write, in bytes."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-c", CHILD + textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=limited,
    )


PREPARE = """
Tiny.prepare(Path(sys.argv[1]), progress)
print("calls", calls, Tiny(Path(sys.argv[1])).checksum, flush=True)
"""


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_killed_while_preparing(tmp_path: Path) -> None:
    process = child(PREPARE, tmp_path)
    assert (line(process), line(process)) == ("going", "midway")
    process.kill()
    process.communicate()
    assert not (tmp_path / "dsprites.h5").exists()
    assert len(list(tmp_path.glob(".*.tmp"))) == 1
    assert Tiny.prepared(tmp_path) is None
    Tiny.prepare(tmp_path)
    Tiny(tmp_path).verify()
    assert list(tmp_path.glob(".*.tmp")) == []


def test_two_processes_at_once(tmp_path: Path) -> None:
    first = child(PREPARE, tmp_path)
    assert (line(first), line(first)) == ("going", "midway")
    second = child(PREPARE, tmp_path)
    assert line(second) == "going"
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(timeout=0.7)  # it waits for the first, which waits for us
    made, _ = first.communicate("\n", timeout=60)
    found, _ = second.communicate("\n", timeout=60)
    assert (made.split()[:2], found.split()[:2]) == (["calls", "18"], ["calls", "0"])
    assert made.split()[2] == found.split()[2]


def test_disk_full_for_real(tmp_path: Path) -> None:
    """The system refuses to write past a limit, as it does on a full disk."""
    process = child(
        """
        try:
            Tiny.prepare(Path(sys.argv[1]))
        except UserError as error:
            print(error)
        """,
        tmp_path,
        limit=100_000,
    )
    said, _ = process.communicate(timeout=60)
    assert f"can't write {tmp_path / 'dsprites.h5'}: file too large" in said
    assert {p.name for p in tmp_path.iterdir()} <= {".dsprites.h5.lock"}


def test_a_cold_file_is_read_ahead_and_a_warm_one_is_not(tiny: Path) -> None:
    data = Tiny(tiny.parent)
    assert data.rows.max() == 255  # every page was touched
    assert storage.cached_blocks(data.rows).all()
    assert storage.warm(data.stored) is None
    del data
    with tiny.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    data = Tiny(tiny.parent)
    reading = storage.warm(data.stored)
    if reading is None:
        pytest.skip("this file system keeps what it was told to forget")
    reading.join()
    assert storage.cached_blocks(data.rows).all()
