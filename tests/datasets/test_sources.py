"""Where source files are looked for, and arrays read from an npz as a stream."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from disentangle_bench.datasets import sources
from disentangle_bench.datasets.sources import locate, npz_blocks
from disentangle_bench.errors import UserError

NAMES = ("new.h5", "Img/old.zip")


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.fixture(autouse=True)
def no_lib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISENTANGLEMENT_LIB_DATA", raising=False)


# --- locate


@pytest.mark.parametrize("place", ["new.h5", "Img/old.zip", "shapes3d/new.h5", "shapes3d/Img/old.zip"])
def test_under_the_data_root(tmp_path: Path, place: str) -> None:
    assert locate(NAMES, tmp_path, "shapes3d") is None
    path = put(tmp_path / place)
    assert locate(NAMES, tmp_path, "shapes3d") == path


def test_of_two_forms_in_one_place_the_first_comes_first(tmp_path: Path) -> None:
    put(tmp_path / "shapes3d/Img/old.zip")
    new = put(tmp_path / "shapes3d/new.h5")
    assert locate(NAMES, tmp_path, "shapes3d") == new


@pytest.mark.parametrize("second", ["new.h5", "Img/old.zip"])
@pytest.mark.parametrize("given", [False, True])
def test_two_places_are_a_question(tmp_path: Path, second: str, given: bool) -> None:
    paths = [put(tmp_path / "one/new.h5"), put(tmp_path / "two" / second)] if given else []
    paths = paths or [put(tmp_path / second), put(tmp_path / "shapes3d/new.h5")]
    where = f"--source {tmp_path}" if given else f"the data root {tmp_path}"
    with pytest.raises(UserError) as caught:
        locate(NAMES, tmp_path, "shapes3d", tmp_path if given else None)
    assert str(caught.value).startswith(f"{where} holds both {paths[0]} and {paths[1]}: which is meant? Name that one")


def test_one_file_seen_twice_is_no_question(tmp_path: Path) -> None:
    """By a link, and in a folder within a folder of one name, as archives are often unpacked."""
    path = put(tmp_path / "given/one/new.h5")
    (tmp_path / "given/two").symlink_to(tmp_path / "given/one")
    assert locate(NAMES, tmp_path, "shapes3d", tmp_path / "given") == path
    put(tmp_path / "other/images/images/1.png")
    assert locate(("images",), tmp_path, "x", tmp_path / "other") == tmp_path / "other/images"


def test_no_device_and_no_fifo_is_opened(tmp_path: Path) -> None:
    """A FIFO would wait for ever for somebody to write, a device may have no end."""
    os.mkfifo(tmp_path / "new.h5")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"new\.h5 is a FIFO \(a pipe\), and only files and folders are read"):
        locate(NAMES, tmp_path, "shapes3d")
    for source, kind in ((tmp_path, "new.h5 is a FIFO"), (tmp_path / "zero", "zero is a device")):
        with pytest.raises(UserError, match=kind):
            locate(NAMES, tmp_path / "root", "shapes3d", source)


@pytest.mark.parametrize("folder", ["", "3dshapes", "cars", "small_norb", "mpi3d_real", "scream"])
def test_disentanglement_libs_folders(tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "lib" / folder / "new.h5")
    assert locate(NAMES, tmp_path / "root", "shapes3d") is None
    monkeypatch.setenv("DISENTANGLEMENT_LIB_DATA", str(tmp_path / "lib"))
    assert locate(NAMES, tmp_path / "root", "shapes3d") == path


def test_source_is_the_file_under_any_name(tmp_path: Path) -> None:
    path = put(tmp_path / "new (1).h5")
    assert locate(NAMES, tmp_path, "shapes3d", path) == path


@pytest.mark.parametrize("place", ["new.h5", "Img/old.zip", "somewhere/new.h5"])
def test_source_is_a_folder_that_holds_it(tmp_path: Path, place: str) -> None:
    path = put(tmp_path / "given" / place)
    assert locate(NAMES, tmp_path, "shapes3d", tmp_path / "given") == path


def test_source_is_the_folder_that_is_wanted(tmp_path: Path) -> None:
    put(tmp_path / "rendered_chairs/1/x.png")
    assert locate(("x.tar", "rendered_chairs"), tmp_path, "chairs3d", tmp_path / "rendered_chairs") == (
        tmp_path / "rendered_chairs"
    )


def test_source_is_the_only_place(tmp_path: Path) -> None:
    put(tmp_path / "new.h5")
    (tmp_path / "given").mkdir()
    with pytest.raises(UserError, match=r"--source .*given holds no new\.h5 or Img/old\.zip; name that file"):
        locate(NAMES, tmp_path, "shapes3d", tmp_path / "given")
    with pytest.raises(UserError, match=r"--source .*absent: there is no such file or folder"):
        locate(NAMES, tmp_path, "shapes3d", tmp_path / "absent")


# --- npz_blocks

ARRAY = np.random.default_rng(0).integers(256, size=(1000, 5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("block_bytes", [1, 105 * 64, 1 << 20])
def test_blocks_of_an_npz(tmp_path: Path, save: object, block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK_BYTES", block_bytes)
    path = tmp_path / "a.npz"
    save(path, other=np.zeros(3), images=ARRAY)
    blocks = list(npz_blocks(path, "images", ARRAY.shape))
    assert np.array_equal(np.concatenate(blocks), ARRAY)
    assert {len(block) for block in blocks[:-1]} <= {max(1, block_bytes // 105)}


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (ARRAY[1:], r"'images' is uint8 \(999, 5, 7, 3\), expected uint8 \(1000, 5, 7, 3\)"),
        (ARRAY.astype(np.float32), "'images' is float32"),
        (np.asfortranarray(ARRAY), r"'images' is uint8 \(1000, 5, 7, 3\) in Fortran order"),
        (np.full(1000, None), "'images' is object"),
    ],
)
def test_another_array(tmp_path: Path, array: np.ndarray, found: str) -> None:
    np.savez(tmp_path / "a.npz", images=array)
    with pytest.raises(UserError, match=rf"a\.npz can't be read: {found}.*\. Fetch it again\."):
        next(npz_blocks(tmp_path / "a.npz", "images", ARRAY.shape))


def test_a_member_that_is_shorter_or_longer_than_its_header_says(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", ARRAY)
    whole = (tmp_path / "images.npy").read_bytes()
    for data, found in ((whole[:-1], "ends before its 1000 rows"), (whole + b"x", "goes on after its 1000 rows")):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("images.npy", data)
        with pytest.raises(UserError, match=found):
            for _ in npz_blocks(tmp_path / "a.npz", "images", ARRAY.shape):
                pass


@pytest.mark.parametrize("how", ["cut", "flipped", "text", "absent", "folder", "key"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_that_cannot_be_read(tmp_path: Path, how: str, save: object) -> None:
    path = tmp_path / "a.npz"
    save(path, images=ARRAY)
    whole = path.read_bytes()
    if how == "cut":
        os.truncate(path, len(whole) // 2)
    elif how == "flipped":
        path.write_bytes(whole[:50_000] + bytes([whole[50_000] ^ 255]) + whole[50_001:])
    elif how == "text":
        path.write_text("<html>404</html>")
    elif how == "key":
        save(path, imgs=ARRAY)
    else:
        path.unlink()
        if how == "folder":
            path.mkdir()
    with pytest.raises(UserError, match=r"a\.npz can't be read: .*\. Remove it\."):
        for _ in npz_blocks(path, "images", ARRAY.shape, "Remove it."):
            pass
