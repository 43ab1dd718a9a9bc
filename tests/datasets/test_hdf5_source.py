"""Arrays from a user's HDF5 file: whole, as a stream, and never from another file than that one."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from disentangle_bench.datasets import hdf5_source
from disentangle_bench.datasets.hdf5_source import hdf5_blocks
from disentangle_bench.errors import UserError

ARRAY = np.random.default_rng(0).integers(256, size=(1000, 5, 7), dtype=np.uint8)


def read(path: Path) -> np.ndarray:
    return np.concatenate(list(hdf5_blocks(path, "images", ARRAY.shape)))


@pytest.mark.parametrize(("chunks", "rows"), [(None, 1000), ((300, 5, 1), 300), ((1, 5, 7), 1), ((1000, 5, 1), 400)])
def test_blocks_are_whole_chunks_within_a_limit(
    tmp_path: Path, chunks: tuple[int, ...] | None, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5_source, "MOST_BYTES", 400 * 35 if chunks else 1 << 20)
    with h5py.File(tmp_path / "a.h5", "w") as hdf:
        hdf.create_dataset("images", data=ARRAY, chunks=chunks)
    assert np.array_equal(read(tmp_path / "a.h5"), ARRAY)
    assert len(next(hdf5_blocks(tmp_path / "a.h5", "images", ARRAY.shape))) == rows


def external_link(hdf: h5py.File, secret: Path) -> None:
    hdf["images"] = h5py.ExternalLink(secret, "images")


def soft_link(hdf: h5py.File, secret: Path) -> None:
    hdf["there"] = h5py.ExternalLink(secret.parent / "a.h5", "/")
    hdf["images"] = h5py.SoftLink("/there/x")


def external_bytes(hdf: h5py.File, secret: Path) -> None:
    hdf.create_dataset("images", ARRAY.shape, np.uint8, external=[(str(secret), 0, ARRAY.nbytes)])


def virtual(hdf: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout(ARRAY.shape, np.uint8)
    layout[:] = h5py.VirtualSource(secret, "images", ARRAY.shape)
    hdf.create_virtual_dataset("images", layout)


def group(hdf: h5py.File, secret: Path) -> None:
    hdf.create_group("images")


@pytest.mark.parametrize("how", [external_link, soft_link, external_bytes, virtual, group])
def test_nothing_is_taken_from_another_file(tmp_path: Path, how: Callable[[h5py.File, Path], None]) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as hdf:
        hdf["images"] = ARRAY
    with h5py.File(tmp_path / "a.h5", "w") as hdf:
        how(hdf, tmp_path / "secret.h5")
    with pytest.raises(UserError, match=r"a\.h5 can't be read: it.* 'images'.*\. Fetch it again\."):
        read(tmp_path / "a.h5")


def test_an_array_that_unpacks_to_more_than_is_expected_is_not_unpacked(tmp_path: Path) -> None:
    """A file of kilobytes that claims 16 TB, every chunk of which is left out."""
    with h5py.File(tmp_path / "a.h5", "w") as hdf:
        hdf.create_dataset("images", (1 << 32, 64, 64), np.uint8, chunks=(1 << 16, 64, 64), compression="gzip")
    assert (tmp_path / "a.h5").stat().st_size < 10_000
    with pytest.raises(UserError, match=r"its images are uint8 \(4294967296, 64, 64\), expected uint8 \(1000, 5, 7\)"):
        read(tmp_path / "a.h5")
