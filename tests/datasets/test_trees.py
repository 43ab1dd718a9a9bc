"""Trees of files in folders and archives, whole and damaged; and their images, decoded in order."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from disentangle_bench.datasets import regular, trees
from disentangle_bench.datasets.trees import Tree, decoded, open_tree
from disentangle_bench.errors import UserError

NOISE = np.random.default_rng(0)
FILES = {"b/2.txt": NOISE.bytes(1500), "a/1.txt": NOISE.bytes(1500), "top.txt": NOISE.bytes(1500), "a/empty": b""}
HIDDEN = {"a/.DS_Store": b"x", "__MACOSX/a/._1.txt": b"x", ".git/config": b"x"}
KINDS = ("folder", "zip", "stored.zip", "tar", "tar.gz", "tgz")


def pack(path: Path, files: dict[str, bytes], prefix: str = "") -> Path:
    """A folder or an archive, as the end of its name says, in the order of `files`."""
    if path.name.endswith(".zip"):
        kind = zipfile.ZIP_STORED if path.name.endswith("stored.zip") else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", kind) as archive:
            archive.mkdir("a")
            for name, data in files.items():
                archive.writestr(prefix + name, data)
    elif path.suffix in (".tar", ".gz", ".tgz"):
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
            folder = tarfile.TarInfo("a")
            folder.type = tarfile.DIRTYPE
            archive.addfile(folder)
            for name, data in files.items():
                info = tarfile.TarInfo(prefix + name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    else:
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_names_and_bytes(tmp_path: Path, kind: str) -> None:
    tree = open_tree(pack(tmp_path / f"x.{kind}", HIDDEN | FILES))
    assert tree.names == ("a/1.txt", "a/empty", "b/2.txt", "top.txt")
    for name in reversed(tree.names):  # in any order
        assert tree.read(name) == FILES[name]
    tree.close()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_are_told_plainly_and_nothing_is_unpacked(tmp_path: Path, kind: str) -> None:
    archive = pack(tmp_path / f"x.{kind}", {"../outside.txt": b"x"} | FILES, "./")
    before = sorted(tmp_path.rglob("*"))
    tree = open_tree(archive)
    assert tree.names == ("a/1.txt", "a/empty", "b/2.txt", "top.txt")
    assert tree.read("a/1.txt") == FILES["a/1.txt"]
    assert sorted(tmp_path.rglob("*")) == before


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    pack(tmp_path / "elsewhere", {"3.txt": b"3", "deep/4.txt": b"4"})
    root = pack(tmp_path / "x", {"a/1.txt": b"1"})
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "b/deep/back").symlink_to(tmp_path / "elsewhere")
    (root / "a/up").symlink_to("..")
    (root / "a/astray").symlink_to("none")
    (tmp_path / "link").symlink_to(root)
    for path in (root, tmp_path / "link", root / "a/../"):
        tree = open_tree(path)
        assert tree.names == ("a/1.txt", "a/astray", "b/3.txt", "b/deep/4.txt")
        assert tree.read("b/deep/4.txt") == b"4"
        with pytest.raises(UserError, match=r"'a/astray' in .* can't be read: .*No such file"):
            tree.read("a/astray")


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_two_files_of_one_name_are_refused(tmp_path: Path, kind: str) -> None:
    path = pack(tmp_path / f"x.{kind}", {"./b/2.txt": b"another"} | FILES)
    with pytest.raises(UserError, match=rf"x\.{kind} holds 'b/2\.txt' twice; pack it again without the extra file"):
        open_tree(path)


def test_a_link_in_a_tar_is_the_file_it_names(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", FILES)
    with tarfile.open(path, "a") as archive:
        for name, target, kind in (("same", "a/1.txt", tarfile.LNKTYPE), ("astray", "none", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    tree = open_tree(path)
    assert tree.read("same") == FILES["a/1.txt"]
    with pytest.raises(UserError, match=r"'astray' in .*x\.tar can't be read"):
        tree.read("astray")


@pytest.mark.parametrize("kind", ["zip", "stored.zip", "tar", "tar.gz"])
def test_a_cut_archive_is_an_error_or_whole(tmp_path: Path, kind: str) -> None:
    """Cut anywhere, it never passes for one with fewer files; a tar's closing zeros may be missing."""
    path = pack(tmp_path / f"x.{kind}", FILES)
    whole, refused = path.read_bytes(), 0
    for length in [*range(0, len(whole), 97), *range(512, len(whole), 512), len(whole) - 1]:
        path.write_bytes(whole[:length])
        try:
            tree = open_tree(path)
            assert {name: tree.read(name) for name in tree.names} == FILES
            tree.close()
        except UserError:
            refused += 1
    assert refused > 20


def test_a_damaged_header_never_hides_a_file(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", FILES)
    whole = path.read_bytes()
    assert whole[512:519] == b"b/2.txt"
    for position in range(512, 1024, 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x15]) + whole[position + 1 :])
        with pytest.raises(UserError, match=r"x\.tar can't be read: it is cut short or damaged at byte 512\. Fetch"):
            open_tree(path)


def test_what_is_no_tree(tmp_path: Path) -> None:
    for name, data in {"x.rar": b"Rar!", "x.zip": b"<html>", "x.tar": b"<html>" * 500, "x.tar.gz": b"<html>"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=rf"{name} (is neither|can't be read)"):
            open_tree(tmp_path / name)
    with pytest.raises(UserError, match="No such file"):
        open_tree(tmp_path / "absent.zip")


def test_a_full_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full is a device that is always full."""
    path = pack(tmp_path / "x.tar.gz", FILES)
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("tempfile.TemporaryFile", lambda: full)
        with pytest.raises(UserError, match=r"x\.tar\.gz can't be unpacked into .*: no space left there.*TMPDIR"):
            open_tree(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_entered(tmp_path: Path) -> None:
    pack(tmp_path / "x", FILES)
    (tmp_path / "x/a").chmod(0)
    try:
        with pytest.raises(UserError, match="Permission denied"):
            open_tree(tmp_path / "x")
    finally:
        (tmp_path / "x/a").chmod(0o755)


# --- decoded


def png(value: int, size: tuple[int, int] = (4, 3)) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, value).save(file, "PNG")
    return file.getvalue()


def grey(name: str, image: Image.Image) -> np.ndarray:
    return np.asarray(image)[..., None]


@pytest.fixture
def hundred(tmp_path: Path) -> Tree:
    return open_tree(pack(tmp_path / "x.zip", {f"{i:03d}.png": png(i) for i in range(100)}))


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("block_bytes", [1, 12 * 30, 1 << 20])
def test_decoded_keeps_the_order(
    hundred: Tree, workers: int, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "BLOCK_BYTES", block_bytes)
    names = [f"{i:03d}.png" for i in (5, *range(99, 0, -1), 5)]
    blocks = list(decoded(hundred, names, grey, workers))
    assert {block.shape[1:] for block in blocks} == {(3, 4, 1)}
    assert all(block.nbytes < block_bytes + 12 for block in blocks[:-1])
    assert np.concatenate(blocks)[:, 2, 3, 0].tolist() == [5, *range(99, 0, -1), 5]
    with pytest.raises(ValueError, match="closed"):
        hundred.read("001.png")


def test_decoded_reads_only_a_few_ahead(hundred: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "BLOCK_BYTES", 12)
    read: list[str] = []
    counted = Tree(hundred.path, hundred.names, lambda name: read.append(name) or hundred.read(name), hundred.close)
    blocks = decoded(counted, counted.names, grey, workers=2)
    next(blocks)
    assert len(read) <= 6
    blocks.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-30],
        lambda data: data[:40],
        lambda data: data[:45] + bytes([data[45] ^ 255]) + data[46:],
        lambda data: b"<html>",
        lambda data: b"",
    ],
)
def test_an_image_that_cannot_be_decoded(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    tree = open_tree(pack(tmp_path / "x.zip", {"good.png": png(1), "d/bad.png": spoil(png(2))}))
    with pytest.raises(UserError, match=r"'d/bad\.png' in .*x\.zip is no image that can be decoded"):
        list(decoded(tree, ["good.png", "d/bad.png"], grey))


def test_a_fault_of_the_program_keeps_its_name(hundred: Tree) -> None:
    with pytest.raises(ZeroDivisionError):
        list(decoded(hundred, hundred.names, lambda name, image: np.full(3, 1 // 0)))


# --- what an archive or an image of malice asks for


@pytest.mark.parametrize("kind", ["zip", "tar", "tgz"])
def test_names_that_lead_outside_are_never_followed(tmp_path: Path, kind: str) -> None:
    """An archive's member is read from the archive, whatever its name; no name leads to the disk."""
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "in").mkdir()
    names = ("../secret.png", str(tmp_path / "secret.png"), "..\\secret.png", "a.png")
    tree = open_tree(pack(tmp_path / f"in/x.{kind}", dict.fromkeys(names, b"own")))
    assert {tree.read(name) for name in tree.names} == {b"own"}
    assert "a.png" in tree.names
    assert (tmp_path / "secret.png").read_bytes() == b"secret"
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["secret.png", f"x.{kind}"]


@pytest.mark.parametrize("link", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_tars_link_to_the_disk_is_not_followed(tmp_path: Path, link: bytes) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    for target in (str(tmp_path / "secret.png"), "../secret.png", "secret.png"):
        path = pack(tmp_path / "x.tar", {"a.png": b"own"})
        with tarfile.open(path, "a") as archive:
            info = tarfile.TarInfo("b.png")
            info.type, info.linkname = link, target
            archive.addfile(info)
        with pytest.raises(UserError, match=r"'b\.png' in .*x\.tar can't be read"):
            open_tree(path).read("b.png")


def test_a_tars_device_and_fifo_are_no_files(tmp_path: Path) -> None:
    for kind in (tarfile.CHRTYPE, tarfile.FIFOTYPE):
        path = pack(tmp_path / "x.tar", {"a.png": b"own"})
        with tarfile.open(path, "a") as archive:
            info = tarfile.TarInfo("b.png")
            info.type, info.devmajor, info.devminor = kind, 1, 5  # /dev/zero
            archive.addfile(info)
        with pytest.raises(UserError, match=r"'b\.png' in .*x\.tar can't be read: it is no file"):
            open_tree(path).read("b.png")


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_a_member_that_unpacks_to_more_than_any_image_is_not_unpacked(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert regular.FILE_BYTES == 256 << 20
    monkeypatch.setattr(regular, "FILE_BYTES", 3 << 20)
    monkeypatch.setattr(trees, "FILE_BYTES", 3 << 20)
    tree = open_tree(pack(tmp_path / f"x.{kind}", {"fits.png": bytes(3 << 20), "bomb.png": bytes((3 << 20) + 1)}))
    assert len(tree.read("fits.png")) == 3 << 20
    with pytest.raises(UserError, match=r"'bomb\.png' in .* can't be read: it holds more than 3 MiB"):
        tree.read("bomb.png")


def test_a_zips_member_that_holds_more_than_it_says(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"bomb.png": bytes(1_234_567)})
    size = (1_234_567).to_bytes(4, "little")
    whole = path.read_bytes()
    assert whole.count(size) == 2
    path.write_bytes(whole.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(UserError, match=r"'bomb\.png' in .*x\.zip can't be read"):
        open_tree(path).read("bomb.png")


def test_a_sparse_tar_member_of_a_terabyte(tmp_path: Path) -> None:
    """A member that takes no place in the archive: GNU tar's sparse files, zeros that are not stored."""
    info = tarfile.TarInfo("bomb.png")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386 + 96 + 1 : 386 + 96 + 13] = (1 << 30).to_bytes(12, "big")  # the real size, a number in base 256
    header[386 + 96 + 1] |= 0x80
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "x.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(UserError, match=r"bomb\.png' in .*x\.tar can't be read: it holds more than 256 MiB"):
        open_tree(tmp_path / "x.tar").read("bomb.png")


def test_a_gzip_bomb_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "UNPACKED_SLACK", 1 << 20)
    path = pack(tmp_path / "x.tar.gz", {"bomb.png": bytes(64 << 20)})
    with pytest.raises(UserError, match=r"x\.tar\.gz unpacks to more than 200 times its size\. .* name the folder"):
        open_tree(path)


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes, side × side."""
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return file.getvalue()


def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    tree = open_tree(pack(tmp_path / "x.zip", {"fits.png": bomb(4096), "a.png": bomb(4097), "b.png": bomb(15_000)}))
    assert trees.image_of(tree, "fits.png", tree.read("fits.png")).size == (4096, 4096)
    for name in ("a.png", "b.png"):
        with pytest.raises(UserError, match=rf"'{name}' in .* can be decoded \(.*(16,777,216 pixels|exceeds limit)"):
            trees.image_of(tree, name, tree.read(name))


def test_postscript_is_not_run(tmp_path: Path) -> None:
    """Pillow would start Ghostscript for an image that begins so, whatever it is called."""
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n%%EOF\n"
    assert Image.open(io.BytesIO(data)).format == "EPS"
    tree = open_tree(pack(tmp_path / "x", {"a.png": data}))
    with pytest.raises(UserError, match=r"'a\.png' in .* is no image that can be decoded\. Replace it"):
        trees.image_of(tree, "a.png", data)
