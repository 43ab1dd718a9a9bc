"""Sample quality: Fréchet and kernel distances, the networks they look through, grid quality, label accuracy."""

import hashlib
import http.server
import json
import math
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from disentangle_bench import conformance, registry
from disentangle_bench.contracts import Dataset, ImageMetric, ImageSamples
from disentangle_bench.datasets.download import Remote
from disentangle_bench.errors import UserError
from disentangle_bench.features import image_features, inception_weights, nearest, random_network
from disentangle_bench.features.inception import Inception
from disentangle_bench.features.inception_weights import VARIABLE, InceptionFeatures, find
from disentangle_bench.features.random_network import RandomFeatures
from disentangle_bench.metrics import fid, frechet_random, grid_quality, kid, label_accuracy, score, score_images
from disentangle_bench.metrics.frechet import frechet_distance, kernel_distance, statistics
from tests.helpers import ROOT
from tests.plugins.tiny import Tiny, TinyTwo

METRICS = [module.METRIC for module in (fid, kid, frechet_random, grid_quality, label_accuracy)]
few = settings(max_examples=25)
seeds = st.integers(0, 2**32)


class Drawn(ImageSamples):
    """A model that draws its samples from the given images, whose labels are known."""

    def __init__(self, dataset: Dataset, root: Path, images: np.ndarray, labels: np.ndarray | None = None) -> None:
        self.dataset, self.root, self.images, self.labels = dataset, root, images, labels
        self.conditional = labels is not None

    def fake(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.images[rng.integers(len(self.images), size=n)]

    def fake_labelled(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        assert self.labels is not None
        index = rng.integers(len(self.images), size=n)
        return self.images[index], self.labels[index]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)


def compute(metric: ImageMetric, samples: ImageSamples, protocol: Any, seed: int = 0) -> dict[str, Any]:
    return metric.compute(samples, protocol, np.random.default_rng(seed))


def covariance(rng: np.random.Generator, d: int, rank: int) -> np.ndarray:
    """A random covariance (d, d) of that rank."""
    root = rng.standard_normal((d, rank))
    return root @ root.T


class TestFrechetDistance:
    def test_statistics_are_numpys(self) -> None:
        features = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
        mean, cov = statistics(features)
        assert mean.dtype == cov.dtype == np.float64
        assert mean == pytest.approx(features.mean(axis=0, dtype=np.float64))
        assert cov == pytest.approx(np.cov(features.T.astype(np.float64)))

    def test_commuting_covariances_by_hand(self) -> None:
        """Σ (μ − ν)² + Σ (σ − τ)²: 3² + 4² + (1 − 3)² + (2 − 5)² = 38."""
        found = frechet_distance(np.zeros(2), np.diag([1.0, 4.0]), np.array([3.0, 4.0]), np.diag([9.0, 25.0]))
        assert found == pytest.approx(38)

    def test_covariances_that_do_not_commute_by_hand(self) -> None:
        """Of 2 × 2 matrices, tr (AB)^½ = √(tr AB + 2 √det AB): A = [[2, 1], [1, 2]], B = diag(1, 4) have tr AB = 10 and
        det AB = 12."""
        a, b = np.array([[2.0, 1.0], [1.0, 2.0]]), np.diag([1.0, 4.0])
        expected = 4 + 5 - 2 * math.sqrt(10 + 2 * math.sqrt(12))
        assert frechet_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(expected)

    def test_singular_covariances_by_hand(self) -> None:
        """Unit vectors u, v at angle t: tr (uuᵀ + vvᵀ − 2 (uuᵀvvᵀ)^½) = 2 − 2 |cos t|, 2 where they are orthogonal."""
        u, v, w = np.array([1.0, 0.0]), np.array([0.6, 0.8]), np.array([0.0, 1.0])
        zero = np.zeros(2)
        assert frechet_distance(zero, np.outer(u, u), zero, np.outer(v, v)) == pytest.approx(2 - 2 * 0.6)
        assert frechet_distance(zero, np.outer(u, u), zero, np.outer(w, w)) == pytest.approx(2)
        assert frechet_distance(zero, np.zeros((2, 2)), zero, np.eye(2)) == pytest.approx(2)

    def test_the_published_formula_gives_the_same(self) -> None:
        rng = np.random.default_rng(0)
        (mean1, cov1), (mean2, cov2) = ((rng.standard_normal(20), covariance(rng, 20, 40)) for _ in range(2))
        root = np.real(scipy.linalg.sqrtm(cov1 @ cov2))
        expected = ((mean1 - mean2) ** 2).sum() + np.trace(cov1 + cov2 - 2 * root)
        assert frechet_distance(mean1, cov1, mean2, cov2) == pytest.approx(expected, rel=1e-9)

    @few
    @given(seed=seeds, rank=st.integers(1, 6))
    def test_symmetric_zero_on_itself_and_blind_to_rotation(self, seed: int, rank: int) -> None:
        rng = np.random.default_rng(seed)
        first, second = ((rng.standard_normal(5), covariance(rng, 5, rank)) for _ in range(2))
        turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
        distance = frechet_distance(*first, *second)
        scale = np.trace(first[1]) + np.trace(second[1])
        assert distance > 0
        assert frechet_distance(*second, *first) == pytest.approx(distance, abs=1e-6 * scale)
        assert 0 <= frechet_distance(*first, *first) <= 1e-6 * scale
        turned = [(turn @ mean, turn @ cov @ turn.T) for mean, cov in (first, second)]
        assert frechet_distance(*turned[0], *turned[1]) == pytest.approx(distance, abs=1e-6 * scale)

    def test_features_that_are_no_numbers_are_an_error(self) -> None:
        with pytest.raises(UserError, match="not finite"):
            statistics(np.array([[1.0, np.nan], [0.0, 1.0]]))
        with pytest.raises(UserError, match="two rows"):
            statistics(np.ones((1, 4)))


class TestKernelDistance:
    def test_two_points_each_by_hand(self) -> None:
        """d = 1, x = (0, 1), y = (1, 2): k(0, 1) = 1, k(1, 2) = 27; cross 1, 1, 8, 27: 1 + 27 − 2 · 37 / 4 = 9.5."""
        x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
        score, spread = kernel_distance(x, y, np.random.default_rng(0), subsets=3, size=2)
        assert (score, spread) == pytest.approx((9.5, 0))

    def test_the_width_divides_the_product_by_hand(self) -> None:
        """d = 2: (0, 0), (2, 2) and (0, 0), (2, 0): within 1, 1; across 1, 1, 1, (4 / 2 + 1)³ = 27: 2 − 2 · 30 / 4."""
        x, y = np.array([[0.0, 0.0], [2.0, 2.0]]), np.array([[0.0, 0.0], [2.0, 0.0]])
        assert kernel_distance(x, y, np.random.default_rng(0), subsets=2, size=2)[0] == pytest.approx(2 - 2 * 30 / 4)

    def test_equal_distributions_give_0_on_average(self) -> None:
        rng = np.random.default_rng(0)
        drawn = [kernel_distance(*rng.standard_normal((2, 100, 4)), rng, 2, 100)[0] for _ in range(200)]
        assert abs(np.mean(drawn)) < 3 * np.std(drawn) / math.sqrt(200)
        assert min(drawn) < 0 < max(drawn), "no bias upwards"

    @few
    @given(seed=seeds)
    def test_blind_to_rotation_and_to_the_sets_order(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((2, 12, 3))
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        score = kernel_distance(x, y, rng, 2, 12)[0]  # subsets of all rows
        assert kernel_distance(x @ turn, y @ turn, rng, 2, 12)[0] == pytest.approx(score, abs=1e-9)
        assert kernel_distance(y, x, rng, 2, 12)[0] == pytest.approx(score, abs=1e-9)

    def test_same_seed_same_number(self) -> None:
        x, y = np.random.default_rng(0).standard_normal((2, 50, 4)).astype(np.float32)
        first, again, other = (kernel_distance(x, y, np.random.default_rng(seed), 5, 20) for seed in (1, 1, 2))
        assert first == again != other

    def test_too_few_rows_are_an_error(self) -> None:
        with pytest.raises(UserError, match="1000 rows can't be drawn from 20 generated"):
            kernel_distance(np.ones((1000, 2)), np.ones((20, 2)), np.random.default_rng(0))


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Random parameters of the network, by name."""
    torch.manual_seed(0)
    return Inception().state_dict()


@pytest.fixture(scope="module")
def state_file(tmp_path_factory: pytest.TempPathFactory, state: dict[str, torch.Tensor]) -> Path:
    """A file of random weights as the port's is: by name, in torch's format from before zip."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


class Script(torch.nn.Module):
    """Features that tell what a TorchScript file was given: its smallest and largest value, and its size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, images: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        low, high = float(images.min()), float(images.max())
        told = torch.tensor([low, high, float(images.shape[1]), float(images.shape[2]), float(return_features)])
        return torch.nn.functional.pad(told, (0, self.width - 5)).repeat(len(images), 1)


def script_file(folder: Path, width: int = 2048) -> Path:
    torch.jit.script(Script(width)).save(str(folder / "network.pt"))
    return folder / "network.pt"


class TestInception:
    def test_it_has_the_ports_parameters(self, state: dict[str, torch.Tensor]) -> None:
        """94 convolutions without bias, each with batch norm, and 1,008 classes: 23.9 million parameters."""
        kinds = [name.rsplit(".", 1)[1] for name in state]
        assert kinds.count("running_mean") == 94
        assert len(state) == 94 * 6 + 2
        assert sum(parameter.numel() for parameter in Inception().parameters()) == 23_850_960
        assert {name.split(".")[0] for name in state} == {
            "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "Mixed_5b", "Mixed_5c",
            "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c",
            "fc",
        }  # fmt: skip
        shapes = {
            "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3), "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
            "Mixed_5d.branch5x5_2.conv.weight": (64, 48, 5, 5), "Mixed_6a.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
            "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7), "Mixed_6e.branch7x7_3.conv.weight": (192, 192, 7, 1),
            "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3), "Mixed_7b.branch1x1.conv.weight": (320, 1280, 1, 1),
            "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1), "Mixed_7c.branch_pool.bn.weight": (192,),
            "fc.weight": (1008, 2048),
        }  # fmt: skip
        assert {name: tuple(state[name].shape) for name in shapes} == shapes

    def test_the_published_file_is_as_large_as_these_parameters(self, state: dict[str, torch.Tensor]) -> None:
        floats = sum(4 * value.numel() for name, value in state.items() if not name.endswith("tracked"))
        assert 0 < inception_weights.REMOTE.size - floats < 100_000, "beside them, only names"

    def test_a_state_file_sees_images_as_the_port_does(self, state_file: Path) -> None:
        """Grey as three equal channels, resized to 299 without aligned corners, 0..255 to [-1, 1]."""
        images = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 64), dtype=np.uint8)
        calls = []
        network = InceptionFeatures(state_file)
        found = network.features(images, lambda done, total: calls.append((done, total)))
        plain = Inception()
        plain.load_state_dict(torch.load(state_file))
        rgb = torch.from_numpy(images).float().div(255).repeat(1, 3, 1, 1)
        resized = torch.nn.functional.interpolate(rgb, size=(299, 299), mode="bilinear", align_corners=False)
        with torch.no_grad():
            expected = plain.eval()(2 * resized - 1).numpy()
        assert found.shape == (2, 2048)
        assert found.dtype == np.float32
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-5)
        assert calls == [(2, 2)]
        assert len(network.identity) == 64

    def test_counters_of_batches_may_be_absent(self, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        torch.save({k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}, tmp_path / "old.pth")
        InceptionFeatures(tmp_path / "old.pth")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda state: {k: v for k, v in state.items() if not k.startswith("fc")}, r"lacks 'fc\.bias', and 2"),
            (lambda state: state | {"AuxLogits.fc.bias": torch.zeros(3)}, r"has 'AuxLogits\.fc\.bias'"),
            (
                lambda state: state | {"fc.bias": torch.zeros(1000)},
                r"'fc\.bias' has the shape \(1000,\), not \(1008,\)",
            ),
            (lambda state: [1, 2], "no parameters by name"),
        ],
    )
    def test_parameters_of_another_network_are_an_error(
        self, change: Any, message: str, tmp_path: Path, state: dict[str, torch.Tensor]
    ) -> None:
        torch.save(change(state), tmp_path / "other.pth")
        with pytest.raises(UserError, match=message) as caught:
            InceptionFeatures(tmp_path / "other.pth")
        assert "other.pth is not FID's Inception network" in str(caught.value)
        assert "pt_inception-2015-12-05-6726825d.pth" in str(caught.value)

    @pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 cut", "half"])
    def test_a_file_that_is_none_is_an_error(self, content: Any, tmp_path: Path, state_file: Path) -> None:
        whole = state_file.read_bytes()
        (tmp_path / "wrong.pth").write_bytes(whole[: len(whole) // 2] if content == "half" else content)
        with pytest.raises(UserError, match="is not FID's Inception network: it is neither a state file"):
            InceptionFeatures(tmp_path / "wrong.pth")

    def test_a_file_that_may_not_be_read_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=f"{tmp_path} can't be read: Is a directory"):
            InceptionFeatures(tmp_path)

    def test_random_bytes_are_an_error_whatever_reads_them(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        for _ in range(300):
            (tmp_path / "wrong.pth").write_bytes(b"\x80\x02" * rng.integers(2) + rng.bytes(50))
            with pytest.raises(UserError, match="it is neither a state file nor"):
                InceptionFeatures(tmp_path / "wrong.pth")

    def test_a_script_is_given_bytes_as_rgb_of_299(self, tmp_path: Path) -> None:
        images = np.array([0, 255], dtype=np.uint8).repeat(32).reshape(2, 1, 8, 4)  # a black one and a white one
        told = InceptionFeatures(script_file(tmp_path)).features(images)
        assert told.shape == (2, 2048)
        assert told[0, :5] == pytest.approx([0, 255, 3, 299, 1], abs=1e-3)

    def test_a_script_of_another_width_is_an_error(self, tmp_path: Path) -> None:
        network = InceptionFeatures(script_file(tmp_path, width=10))
        with pytest.raises(UserError, match=r"gives \(1, 10\) for 1 images"):
            network.features(np.zeros((1, 3, 8, 8), dtype=np.uint8))

    def test_images_of_another_kind_are_an_error(self, tmp_path: Path) -> None:
        network = InceptionFeatures(script_file(tmp_path))
        for images in (np.zeros((1, 2, 8, 8), dtype=np.uint8), np.zeros((1, 1, 8, 8))):
            with pytest.raises(UserError, match="uint8"):
                network.features(images)

    def test_the_variable_names_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "mine.pth"
        monkeypatch.setenv(VARIABLE, str(file))
        with pytest.raises(UserError, match=rf"{VARIABLE} names {file}, which is no file"):
            find(tmp_path)
        file.write_bytes(b"another network")
        with pytest.raises(UserError, match=r"is not the 2015-12-05 Inception network: expected .* found sha256:"):
            find(tmp_path)
        monkeypatch.setattr(inception_weights, "KNOWN", (f"sha256:{hashlib.sha256(b'another network').hexdigest()}",))
        assert find(tmp_path / "elsewhere") == file

    def test_a_published_file_with_another_content_is_an_error(
        self, tmp_path: Path, state_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)
        (tmp_path / inception_weights.REMOTE.file_name).write_bytes(state_file.read_bytes())
        with pytest.raises(UserError, match=r"need the Inception network: .* is not the official file"):
            find(tmp_path)

    def test_it_is_fetched_once_and_found_again(
        self, tmp_path: Path, state_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """From a real server: first without the file, then with it, then without a server."""
        monkeypatch.delenv(VARIABLE, raising=False)
        served, root = tmp_path / "served", tmp_path / "root"
        served.mkdir()
        handler = partial(http.server.SimpleHTTPRequestHandler, directory=served)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}/weights.pth"
            digest = hashlib.sha256(state_file.read_bytes()).hexdigest()
            remote = Remote("network.pth", (url,), f"sha256:{digest}", state_file.stat().st_size)
            monkeypatch.setattr(inception_weights, "REMOTE", remote)
            with pytest.raises(UserError, match=r"need the Inception network: .*HTTP 404.* or name another place in"):
                find(root)
            (served / "weights.pth").write_bytes(state_file.read_bytes())
            assert find(root).read_bytes() == state_file.read_bytes()
            server.shutdown()
        assert find(root) == root / "network.pth"


class TestFeatures:
    def test_random_features_are_those_of_the_seed(self) -> None:
        images = np.random.default_rng(0).integers(0, 256, (3, 1, 32, 32), dtype=np.uint8)
        first, again = (RandomFeatures().features(images) for _ in range(2))
        assert first.shape == (3, 512)
        assert first.tobytes() == again.tobytes()
        assert RandomFeatures().features(images.repeat(3, axis=1)).shape == (3, 512)

    def test_real_images_are_the_same_for_every_model_and_kept(self, tiny: Tiny, tmp_path: Path) -> None:
        samples, network = Drawn(tiny, tmp_path, tiny.rows), RandomFeatures()
        real, fake = image_features.features_of(samples, network, 20, np.random.default_rng(0))
        (kept,) = (tmp_path / "features").iterdir()
        written = kept.stat().st_mtime_ns
        again, other = image_features.features_of(samples, network, 20, np.random.default_rng(1))
        assert real.tobytes() == again.tobytes()
        assert fake.tobytes() != other.tobytes()
        assert kept.stat().st_mtime_ns == written

    def test_other_contents_counts_and_networks_have_files_of_their_own(self, tiny: Tiny, tmp_path: Path) -> None:
        network = RandomFeatures()
        for dataset, count, identity in (
            (tiny, 20, "a"),
            (tiny, 30, "a"),
            (TinyTwo(tmp_path), 20, "a"),
            (tiny, 20, "b"),
        ):
            network.identity = identity
            rng = np.random.default_rng(0)
            image_features.features_of(Drawn(dataset, tmp_path, tiny.rows), network, count, rng)
        assert len(list((tmp_path / "features").iterdir())) == 4

    def test_images_come_in_blocks(self, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each batch of the networks is whole, so that blocks change no number; here they do so by rounding alone."""
        assert image_features.BLOCK % inception_weights.BATCH == image_features.BLOCK % random_network.BATCH == 0
        roots = [tmp_path / "whole", tmp_path / "blocks"]
        whole = image_features.features_of(
            Drawn(tiny, roots[0], tiny.rows), RandomFeatures(), 20, np.random.default_rng(0)
        )
        monkeypatch.setattr(image_features, "BLOCK", 8)
        samples, seen, sizes = Drawn(tiny, roots[1], tiny.rows), [], []
        samples.progress = lambda done, total: seen.append((done, total))
        network = RandomFeatures()
        features = network.features
        network.features = lambda images, progress: sizes.append(len(images)) or features(images, progress)
        blocks = image_features.features_of(samples, network, 20, np.random.default_rng(0))
        assert sizes == [8, 8, 4, 8, 8, 4]
        assert seen == [(8, 20), (16, 20), (20, 20)] * 2
        for one, other in zip(whole, blocks, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("fault", ["cut", "flipped", "text", "empty", "another array", "objects"])
    def test_a_damaged_file_is_made_anew(
        self, fault: str, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        samples, network = Drawn(tiny, tmp_path, tiny.rows), RandomFeatures()
        real = image_features.features_of(samples, network, 20, np.random.default_rng(0))[0]
        (kept,) = (tmp_path / "features").iterdir()
        whole = kept.read_bytes()
        if fault == "another array":
            np.savez(kept, other=np.ones(3))
        elif fault == "objects":
            np.savez(kept, features=np.array([{}] * 20))
        else:
            middle = len(whole) // 2
            flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
            kept.write_bytes({"cut": whole[:-100], "flipped": flipped, "text": b"no", "empty": b""}[fault])
        again = image_features.features_of(samples, network, 20, np.random.default_rng(0))[0]
        assert real.tobytes() == again.tobytes()
        assert kept.read_bytes() == whole
        assert "is damaged" in capsys.readouterr().err

    def test_where_nothing_can_be_kept_there_is_a_score_and_a_sentence(
        self, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "features").write_text("a file in the way of the folder")
        samples = Drawn(tiny, tmp_path, tiny.rows)
        image_features.features_of(samples, RandomFeatures(), 20, np.random.default_rng(0))
        assert "features of the real images are not kept" in capsys.readouterr().err


class TestFrechetMetrics:
    def test_worse_samples_are_farther(self, tiny: Tiny, tmp_path: Path) -> None:
        """The dataset itself, bars in the upper half alone, noise, and the inverted bars."""
        noise = np.random.default_rng(0).integers(0, 256, tiny.rows.shape, dtype=np.uint8)
        kinds = [tiny.rows, tiny.rows[tiny.factors(np.arange(96))[:, 2] < 4], noise, 255 - tiny.rows]
        scores = [
            compute(frechet_random.METRIC, Drawn(tiny, tmp_path, images), frechet_random.Protocol(90))["score"]
            for images in kinds
        ]
        assert scores == sorted(scores)
        assert scores[1] > 2 * scores[0]
        assert not frechet_random.METRIC.higher_is_better

    def test_fid_and_kid_look_through_the_file_that_is_named(
        self, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The script tells a batch's largest pixel, 0 or 255, and four constants: (255 − 0)² apart, without spread."""
        script = script_file(tmp_path)
        monkeypatch.setenv(VARIABLE, str(script))
        known = f"sha256:{hashlib.sha256(script.read_bytes()).hexdigest()}"
        monkeypatch.setattr(inception_weights, "KNOWN", (known,))
        fid.METRIC.prepare(tmp_path, lambda done, total: None)
        black = Drawn(tiny, tmp_path, np.zeros_like(tiny.rows))
        found = compute(fid.METRIC, black, fid.Protocol(20))
        assert found["score"] == pytest.approx(255**2)
        assert len(found["inception"]) == 8
        mean = (299**2 + 3**2 + 1) / 2048 + 1  # of the kernel's argument between two black images
        kernel = [(mean + square / 2048) ** 3 for square in (255**2, 0, 0)]  # real, generated, between them
        found = compute(kid.METRIC, black, kid.Protocol(20, subsets=2, size=10))
        assert found["score"] == pytest.approx(kernel[0] + kernel[1] - 2 * kernel[2])
        assert found["subset_sd"] == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
    def test_a_dataset_with_too_few_images_is_a_reason_to_skip(self, metric: ImageMetric, tiny: Tiny) -> None:
        samples = Drawn(tiny, tiny.rows, tiny.rows, tiny.labels(np.arange(96)))
        for protocol in metric.protocols.values():
            found = compute(metric, samples, protocol)
            assert set(found) == {"skip"}
            assert "tiny has 96 images" in found["skip"]


def brute(images: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Nearest rows and distances by comparing with every image."""
    every = dataset.images(np.arange(len(dataset))).astype(np.int64)
    squares = np.stack([((every - image) ** 2).sum(axis=(1, 2, 3)) for image in images.astype(np.int64)])
    return squares.argmin(axis=1), np.sqrt(squares.min(axis=1) / images[0].size) / 255


class Noise(Dataset):
    """Images of any kind in rows, for the search."""

    name, factor_names = "noise", ("n",)

    prepare = prepared = classmethod(lambda cls, root: root)

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.image_shape, self.factor_sizes = rows, rows.shape[1:], (len(rows),)
        self.checksum = "noise"

    def decode(self, rows: Any) -> Any:
        return rows


class TestNearest:
    def test_by_hand(self, tiny: Tiny) -> None:
        """One pixel of 256 is off by 51, a fifth: √(1/256) / 5 = 1/80."""
        image = tiny.images(40)
        image[0, 0, 0, 0] ^= 51
        rows, distances = nearest.nearest(image, tiny)
        assert rows.tolist() == [40]
        assert distances == pytest.approx([1 / 80])
        black_to_smallest_bar = math.sqrt(4 / 256)  # 2 × 2 white pixels; the first of width 0 has row 0
        rows, distances = nearest.nearest(np.zeros_like(image), tiny)
        assert (rows[0], distances[0]) == (0, pytest.approx(black_to_smallest_bar))

    @few
    @given(seed=seeds, data=st.data())
    def test_it_is_the_brute_force_search(self, seed: int, data: st.DataObject) -> None:
        """On images of few values (many ties) or all, noisy, blurred and flat, grey and coloured, in small blocks."""
        rng = np.random.default_rng(seed)
        shape = data.draw(st.sampled_from([(1, 16, 16), (3, 8, 12), (1, 7, 5), (1, 24, 32)]))
        values = data.draw(st.sampled_from([2, 4, 256]))
        every = (rng.integers(0, values, (200, *shape)) * (255 // (values - 1))).astype(np.uint8)
        every[100:110] = every[:10]  # copies: the first counts
        dataset = Noise(every)
        noisy = np.clip(every[:20] + rng.normal(0, 30, (20, *shape)), 0, 255).astype(np.uint8)
        blurred = every[20:40].mean(axis=3, keepdims=True).repeat(shape[2], axis=3).astype(np.uint8)
        noise = rng.integers(0, 256, (5, *shape)).astype(np.uint8)
        flat = np.full((1, *shape), 128, dtype=np.uint8)
        images = np.concatenate([every[95:115], noisy, blurred, noise, flat])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nearest, "BLOCK", data.draw(st.sampled_from([16, 64, 1000])))
            rows, distances = nearest.nearest(images, dataset)
        expected, expected_distances = brute(images, dataset)
        assert rows.tolist() == expected.tolist()
        assert distances == pytest.approx(expected_distances, abs=1e-12)

    def test_summaries_are_never_farther_than_images(self) -> None:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (50, 1, 16, 24), dtype=np.uint8)
        images[25:] = images[:25] // 8 + images[25:] // 16
        bounds = nearest._squared_distances(*(nearest._summaries(images),) * 2)
        squares = ((images[:, None].astype(np.int64) - images) ** 2).sum(axis=(2, 3, 4))
        assert (bounds <= squares + 1e-5 * 255**2 * 16 * 24).all()
        assert bounds[:25, 25:].mean() > 0.3 * squares[:25, 25:].mean(), "a bound that says something"

    def test_images_of_another_shape_are_an_error(self, tiny: Tiny) -> None:
        with pytest.raises(UserError, match="images of tiny are uint8"):
            nearest.nearest(np.zeros((1, 1, 8, 8), dtype=np.uint8), tiny)


class TestGridQuality:
    def test_real_images_have_no_distance_and_the_coverage_of_reals(self, tiny: Tiny, tmp_path: Path) -> None:
        found = compute(grid_quality.METRIC, Drawn(tiny, tmp_path, tiny.rows), grid_quality.Protocol(96))
        assert (found["closeness"], found["distance"], found["coverage_real"]) == (1, 0, 1)
        assert found["coverage"] == pytest.approx(1, abs=0.1), "drawn with replacement"

    def test_a_model_of_one_image_by_hand(self, tiny: Tiny, tmp_path: Path) -> None:
        """Coverage: the mean of 1/3 widths, 1/4 columns, 1/8 rows."""
        one = Drawn(tiny, tmp_path, tiny.images(17))
        found = compute(grid_quality.METRIC, one, grid_quality.Protocol(50))
        assert found["closeness"] == 1
        assert found["coverage_of"] == pytest.approx({"width": 1 / 3, "column": 1 / 4, "row": 1 / 8})
        assert found["coverage"] == pytest.approx((1 / 3 + 1 / 4 + 1 / 8) / 3)

    def test_distances_by_hand(self, tiny: Tiny, tmp_path: Path) -> None:
        """Grey 51 on all 256 pixels of an image: √((252 · 51² + 4 · 204²) / 256) / 255 to the smallest bar."""
        grey = Drawn(tiny, tmp_path, np.full((1, 1, 16, 16), 51, dtype=np.uint8))
        found = compute(grid_quality.METRIC, grey, grid_quality.Protocol(3))
        assert found["distance"] == pytest.approx(math.sqrt((252 + 4 * 16) / 256) / 5)
        assert found["closeness"] == 1 - found["distance"]

    def test_values_with_identical_images_are_one(self, tmp_path: Path) -> None:
        class Same(Tiny):
            same_image = {"row": {7: 0}}

            def __init__(self, root: Path) -> None:
                super().__init__(root)
                rows = self.rows.reshape(3, 4, 8, 1, 16, 16)
                rows[:, :, 7] = rows[:, :, 0]

        dataset = Same(tmp_path)
        found = compute(grid_quality.METRIC, Drawn(dataset, tmp_path, dataset.rows), grid_quality.Protocol(96))
        assert found["coverage_real"] == 1

    def test_it_skips_what_is_no_full_grid_of_exact_images(self, tiny: Tiny) -> None:
        skip = grid_quality.METRIC.reason_to_skip
        assert skip(tiny) is None
        tiny.nuisance = "the background"
        assert "the background" in str(skip(tiny))
        tiny.factor_table = tiny.factors(np.arange(96))
        assert "no full grid" in str(skip(tiny))

    def test_same_seed_same_bytes(self, tiny: Tiny, tmp_path: Path) -> None:
        samples = Drawn(tiny, tmp_path, tiny.rows)
        texts = [
            json.dumps(compute(grid_quality.METRIC, samples, grid_quality.Protocol(9), seed)) for seed in (3, 3, 4)
        ]
        assert texts[0] == texts[1] != texts[2]


class TestLabelAccuracy:
    protocol = label_accuracy.Protocol(train=70, judged=26)

    def test_real_images_with_their_labels_score_what_the_classifier_can(self, tiny: Tiny, tmp_path: Path) -> None:
        found = compute(
            label_accuracy.METRIC, Drawn(tiny, tmp_path, tiny.rows, tiny.labels(np.arange(96))), self.protocol
        )
        assert found["real"] > 0.9
        assert found["score"] == pytest.approx(found["real"], abs=0.1)
        assert found["classifier"] in ("pixels", "amplitudes")
        assert list(found["accuracy_of"]) == ["0", "1", "2"]

    def test_wrong_labels_score_0_and_labels_of_nothing_score_chance(self, tiny: Tiny, tmp_path: Path) -> None:
        wrong = Drawn(tiny, tmp_path, tiny.rows, (tiny.labels(np.arange(96)) + 1) % 3)
        assert compute(label_accuracy.METRIC, wrong, self.protocol)["score"] < 0.1
        same = Drawn(tiny, tmp_path, tiny.images([0] * 300), np.arange(300) % 3)
        found = compute(label_accuracy.METRIC, same, label_accuracy.Protocol(70, 26))
        assert found["score"] == pytest.approx(1 / 3, abs=0.25)
        assert sorted(found["accuracy_of"].values()) == [0, 0, 1]

    def test_what_moves_is_recognised_by_its_amplitudes_and_what_turns_by_its_pixels(self, data_root: Path) -> None:
        from sklearn.datasets import load_digits

        from disentangle_bench.datasets import load

        digits = load_digits()
        scans = Noise((digits.images * 255 / 16).astype(np.uint8)[:, None])
        scans.class_names, scans.label_table = tuple("0123456789"), digits.target
        for dataset, expected in ((load("dsprites-32", data_root), "amplitudes"), (scans, "pixels")):
            index = np.arange(0, len(dataset), max(1, len(dataset) // 2000))
            real = Drawn(dataset, data_root, dataset.images(index), dataset.labels(index))
            found = compute(label_accuracy.METRIC, real, label_accuracy.Protocol(1000, 500))
            assert found["classifier"] == expected
            assert found["score"] > 0.95

    def test_it_skips_what_has_no_labels(self, tiny: Tiny, tmp_path: Path) -> None:
        assert "no labels" in compute(label_accuracy.METRIC, Drawn(tiny, tmp_path, tiny.rows), self.protocol)["skip"]
        assert label_accuracy.METRIC.skip(tiny) is None
        tiny.label_factor = None
        assert label_accuracy.METRIC.skip(tiny) == "tiny has no labels"
        assert score_images("label-accuracy", Drawn(tiny, tmp_path, tiny.rows), "2k") == {"skip": "tiny has no labels"}


class TestContract:
    def test_real_images_are_drawn_without_replacement(self, tiny: Tiny, tmp_path: Path) -> None:
        samples = Drawn(tiny, tmp_path, tiny.rows)
        drawn = samples.real(96, np.random.default_rng(0))
        assert len({image.tobytes() for image in drawn}) == 96
        with pytest.raises(UserError, match="96 images; 97 can't be drawn"):
            samples.real(97, np.random.default_rng(0))

    def test_a_model_without_labels_is_an_error(self, tiny: Tiny, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no labels"):
            ImageSamples.fake_labelled(Drawn(tiny, tmp_path, tiny.rows), 3, np.random.default_rng(0))

    def test_a_score_depends_on_the_seed_and_is_of_plain_numbers(
        self, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(grid_quality.PROTOCOLS, "10", grid_quality.Protocol(10))
        samples = Drawn(tiny, tmp_path, tiny.rows)
        texts = [json.dumps(score_images("grid-quality", samples, "10", seed)) for seed in (0, 0, 1)]
        assert texts[0] == texts[1] != texts[2]

    def test_codes_and_images_are_not_mistaken_for_each_other(self, tiny: Tiny, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="'fid' scores a model's images"):
            score("fid", [[0.0], [1.0]], [[0], [1]], protocol="inception-10k")
        with pytest.raises(UserError, match="'mig' scores codes"):
            score_images("mig", Drawn(tiny, tmp_path, tiny.rows), "robust")
        with pytest.raises(UserError, match="Did you mean 'conv-2k'"):
            score_images("frechet-random", Drawn(tiny, tmp_path, tiny.rows), "conv-3k")

    def test_a_plugin_may_be_a_metric_of_images(self, tmp_path: Path) -> None:
        plugin = tmp_path / "brightness.py"
        plugin.write_text(
            "from disentangle_bench.contracts import ImageMetric\n"
            "def brightness(samples, protocol, rng):\n"
            "    return {'score': samples.fake(protocol, rng).mean() / 255}\n"
            "METRIC = ImageMetric('brightness', 'Brightness', 'nobody 1900', brightness, {'ten': 10},\n"
            "                     higher_is_better=False)\n"
        )
        assert registry.load_plugin(plugin) == ["brightness"]
        findings = conformance.check("metric", registry.get("metric", "brightness"))
        assert [finding.status for finding in findings] == ["passed"] * 4
        dataset = Tiny(tmp_path)
        assert score_images("brightness", Drawn(dataset, tmp_path, 255 + 0 * dataset.rows), "ten") == {"score": 1}

    @pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
    def test_a_card_names_each_protocol(self, metric: ImageMetric) -> None:
        card = (ROOT / "metrics" / f"{metric.name}.md").read_text()
        assert all(f"`{protocol}`" in card for protocol in metric.protocols)
        assert all(f"`{key}`" in card for key in metric.keys)
        assert metric.range[0] < metric.range[1]

    def test_importing_the_metrics_imports_no_torch(self) -> None:
        modules = ", ".join(
            f"disentangle_bench.metrics.{metric.compute.__module__.rsplit('.', 1)[1]}" for metric in METRICS
        )
        subprocess.run([sys.executable, "-c", f"import sys, {modules}; assert 'torch' not in sys.modules"], check=True)
