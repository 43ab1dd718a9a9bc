"""Fashion-MNIST (Xiao et al. 2017) and KMNIST (Clanuwat et al. 2018): other images in the form of MNIST."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from disentangle_bench.contracts import Dataset, Progress
from disentangle_bench.datasets.mnist import MNIST
from disentangle_bench.datasets.obtain import obtain_gz
from disentangle_bench.datasets.remote import Remote
from disentangle_bench.datasets.stored import Reading

FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
KUZUSHIJI = "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"


def _remotes(site: str, part: str, images: str, labels: str, namesakes: str) -> tuple[Remote, Remote]:
    names = (f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz")
    first, second = (
        Remote(name, (site + name,), f"md5:{md5}", namesakes=namesakes)
        for name, md5 in zip(names, (images, labels), strict=True)
    )
    return first, second


class PackedMNIST(MNIST):
    """What both have in common: only packed files are taken, since no checksums of unpacked ones are known here."""

    test: ClassVar[type[Dataset]]

    @classmethod
    def variant(cls, suffix: str) -> type[Dataset] | None:
        return cls.test if suffix == "test" else None

    @classmethod
    def read(cls, root: Path, source: Path | None, progress: Progress) -> Reading:
        return cls.reading(*obtain_gz(cls.remotes, root, cls.name, source, progress, packed_only=True))


class FashionMNIST(PackedMNIST):
    """Clothes, white on black, 28 × 28: uint8 (60000, 1, 28, 28), with the kind as label."""

    name: ClassVar[str] = "fashion-mnist"
    description: ClassVar[str] = "clothes, 28x28 grey, 60,000 training images (fashion-mnist-test: the other 10,000)"
    no_factors: ClassVar[str] = "its images are annotated with their kind alone"
    class_names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    remotes = _remotes(
        FASHION, "train", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe", "MNIST and KMNIST"
    )


class FashionMNISTTest(FashionMNIST):
    """The test images: uint8 (10000, 1, 28, 28)."""

    name: ClassVar[str] = "fashion-mnist-test"
    description: ClassVar[str] = "clothes, 28x28 grey, 10,000 test images"
    size: ClassVar[int] = 10_000
    remotes = _remotes(
        FASHION, "t10k", "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310", "MNIST and KMNIST"
    )


class KMNIST(PackedMNIST):
    """Cursive Japanese characters, white on black, 28 × 28: uint8 (60000, 1, 28, 28), with the character as label."""

    name: ClassVar[str] = "kmnist"
    description: ClassVar[str] = (
        "cursive characters, 28x28 grey, 60,000 training images (kmnist-test: the other 10,000)"
    )
    no_factors: ClassVar[str] = "its images are annotated with their character alone"
    class_names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    remotes = _remotes(
        KUZUSHIJI,
        "train",
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "MNIST and Fashion-MNIST",
    )


class KMNISTTest(KMNIST):
    """The test images: uint8 (10000, 1, 28, 28)."""

    name: ClassVar[str] = "kmnist-test"
    description: ClassVar[str] = "cursive characters, 28x28 grey, 10,000 test images"
    size: ClassVar[int] = 10_000
    remotes = _remotes(
        KUZUSHIJI,
        "t10k",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
        "MNIST and Fashion-MNIST",
    )


FashionMNIST.test = FashionMNISTTest
KMNIST.test = KMNISTTest
