"""The shipped checks: everything built in passes them, and each finds the fault that it is there for, in words."""

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from disentangle_bench import conformance, registry
from disentangle_bench.blame import shown
from disentangle_bench.conformance import little as little_checks
from disentangle_bench.conformance.device import Tape
from disentangle_bench.conformance.little import Bars
from disentangle_bench.conformance.little import Subject as Little
from disentangle_bench.contracts import ImageMetric, Metric
from disentangle_bench.errors import UserError
from disentangle_bench.metrics import mig
from disentangle_bench.models.base import Batch, Model, ModelConfig, Player, parameters_of
from tests.helpers import TESTS, line_with, little

EXAMPLE = TESTS.parent / "examples" / "my_vae.py"
BUILT_IN = [(kind, name) for kind in registry.KINDS for name in registry.BUILT_IN[kind]]
INCEPTION = ("fid", "kid")  # which need a download; their own tests check them
DRAWN = ("dsprites-circular", "digits")  # prepared in a moment, from nothing


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, id=f"{kind}-{name}", marks=pytest.mark.slow if name in ("dci", "infomec") else ())
        for kind, name in BUILT_IN
    ],
)
def test_everything_built_in_conforms(kind, name, data_root):
    item = registry.get(kind, name)
    if name in DRAWN:
        item.prepare(data_root)
    if kind == "dataset" and item.prepared(data_root) is None:
        pytest.skip(f"{name} is not prepared here; its own tests check it on miniature files")
    findings = conformance.check(kind, item, data_root)
    assert findings
    if name in INCEPTION:
        findings = [finding for finding in findings if finding.message != "all its protocols take minutes"]
    assert [finding for finding in findings if finding.status != "passed"] == []


class Settings(ModelConfig):
    steps: int = 4
    batch_size: int = 8


class Good(Model):
    """A little autoencoder that keeps the contract; the faults below break one thing each."""

    name, paper, code_source = "good", "none", "encoder"
    Config, configurations = Settings, {"small": Settings()}

    def __init__(self, config, image_shape):
        super().__init__(config, image_shape)
        self.shape, pixels = image_shape, int(np.prod(image_shape))
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 4))
        self.decoder = nn.Linear(4, pixels)

    def players(self):
        return {"both": Player(parameters_of(self.encoder, self.decoder), partial(torch.optim.Adam, lr=1e-2))}

    def losses(self, batch, rng, step):
        codes = self.encoder(batch.images)
        noise = torch.randn(codes.shape, generator=rng, device=codes.device)
        return {"both": (self.decoder(codes + noise).view_as(batch.images) - batch.images).square().mean()}

    def encode(self, images):
        return self.encoder(images)

    def generate(self, codes):
        return self.decoder(codes).view(len(codes), *self.shape).tanh()

    def sample_codes(self, count, rng):
        return torch.randn(count, 4, generator=rng, device=self.device)


class GlobalDraws(Good):
    def losses(self, batch, rng, step):
        torch.randn(1)
        return {"both": super().losses(batch, rng, step)["both"] * (1 + torch.rand(()))}


class ReadsTheStep(Good):
    def losses(self, batch, rng, step):
        return {"both": super().losses(batch, rng, step)["both"] * (2.0 if step > 2 else 1.0)}


class CountsItsImages(Good):
    def losses(self, batch, rng, step):
        bright = batch.images[batch.images.mean(dim=(1, 2, 3)) > 0]
        return {"both": super().losses(Batch(bright), rng, step)["both"]}


class DrawsOnTheHost(Good):
    def losses(self, batch, rng, step):
        noise = torch.randn(len(batch.images), generator=rng)
        return {"both": super().losses(batch, rng, step)["both"] * noise.square().mean()}


class HasAPlainTensor(Good):
    def losses(self, batch, rng, step):
        return {"both": super().losses(batch, rng, step)["both"] + (self.decoder.bias * torch.ones(256)).sum()}


class CopiesAConstant(Good):
    def losses(self, batch, rng, step):
        return {"both": super().losses(batch, rng, step)["both"] * torch.tensor(2.0, device=step.device)}


class MovesAConstant(Good):
    def losses(self, batch, rng, step):
        return {"both": super().losses(batch, rng, step)["both"] * torch.ones(2).to(step.device).mean()}


class CopiesToTheHost(Good):
    def losses(self, batch, rng, step):
        return {"both": super().losses(batch, rng, step)["both"] * (1 + batch.images.cpu().mean().to(step.device) * 0)}


class IsUnfinished(Good):
    def losses(self, batch, rng, step):
        if batch.images.device.type == "meta":
            raise NotImplementedError("planned: not for a GPU yet")
        return super().losses(batch, rng, step)


class SamplesOnTheHost(Good):
    def sample_codes(self, count, rng):
        return torch.randn(count, 4, generator=rng)


class KeepsAConstant(Good):
    """What is fetched at the first step and kept is no fault."""

    constant = None

    def losses(self, batch, rng, step):
        if self.constant is None or self.constant.device != step.device:
            self.constant = torch.tensor(2.0).to(step.device)
        return {"both": super().losses(batch, rng, step)["both"] * self.constant}


class LostParameter(Good):
    def __init__(self, config, image_shape):
        super().__init__(config, image_shape)
        self.lost = nn.Parameter(torch.zeros(1))


class UnusedParameter(Good):
    def __init__(self, config, image_shape):
        super().__init__(config, image_shape)
        self.decoder.unused = nn.Parameter(torch.zeros(1))


class OwnedTwice(Good):
    def players(self):
        return super().players() | {"again": super().players()["both"]}


class NoLoss(Good):
    def losses(self, batch, rng, step):
        return {}


class NotANumber(Good):
    def losses(self, batch, rng, step):
        return {"both": super().losses(batch, rng, step)["both"] / 0}


class RandomCodes(Good):
    def encode(self, images):
        return self.encoder(images) + torch.randn(len(images), 4)


class BatchCodes(Good):
    def encode(self, images):
        codes = self.encoder(images)
        return codes - codes.mean(dim=0)


class OutOfRange(Good):
    def generate(self, codes):
        return 9 * super().generate(codes)


class OtherWidth(Good):
    def sample_codes(self, count, rng):
        return torch.randn(count, 3, generator=rng)


class HiddenState(Good):
    """What it counts outside its buffers is lost with the process."""

    def __init__(self, config, image_shape):
        super().__init__(config, image_shape)
        self.calls = 0

    def losses(self, batch, rng, step):
        self.calls += 1
        return {
            "both": super().losses(batch, rng, step)["both"] * self.calls + 0.1 * self.calls * self.decoder.bias.sum()
        }


class Crashes(Good):
    def diagnostics(self, batch, rng, step):
        raise ZeroDivisionError("planned")


class NeverRefused(Good):
    def __init__(self, config, image_shape):
        raise UserError("it takes other images")


class KeepsItsWeights(Good):
    def events(self):
        return {2: ("both",)}

    def reset(self, player):
        pass


PLANNED = f"{shown(__file__)}:{Crashes.diagnostics.__code__.co_firstlineno + 1}"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (GlobalDraws, "draw from torch's global generator"),
        (ReadsTheStep, "reads a tensor's value"),
        (CountsItsImages, "the shape of what aten.index gives depends on values"),
        (DrawsOnTheHost, "`randn` draws on the CPU where the model is on a GPU"),
        (HasAPlainTensor, "`mul` meets a tensor of the CPU, of shape (256,), where the model is on a GPU"),
        (CopiesAConstant, "`tensor` copies a tensor of shape () from the CPU in each step"),
        (MovesAConstant, "`to` copies a tensor of shape (2,) from the CPU in each step"),
        (CopiesToTheHost, "it copies a tensor from the device to the CPU"),
        (IsUnfinished, "planned: not for a GPU yet"),
        (SamplesOnTheHost, "`randn` draws on the CPU where the model is on a GPU"),
        (LostParameter, "'lost' belongs to no player"),
        (UnusedParameter, "doesn't depend on its parameter 'decoder.unused'"),
        (OwnedTwice, "belongs to both 'both' and 'again'"),
        (NoLoss, "player 'both' gets no loss"),
        (NotANumber, "the loss of 'both' is inf"),
        (RandomCodes, "encode the mean, and draw nothing"),
        (BatchCodes, "depends on its batch"),
        (OutOfRange, "end with tanh or sigmoid"),
        (OtherWidth, "`sample_codes` gives (8, 3)"),
        (HiddenState, "a resumed run gave other codes"),
        (HiddenState, "recorded and replayed gives other weights"),
        (Crashes, "ZeroDivisionError: planned (" + PLANNED + ", in diagnostics)"),
        (NeverRefused, "it refuses images of every shape tried"),
        (KeepsItsWeights, "left the weights of 'both' as they were"),
    ],
)
def test_a_fault_in_a_model_is_found_and_told(broken, words):
    failed = [finding for finding in conformance.check("model", broken) if finding.status == "failed"]
    assert any(words in finding.message for finding in failed), failed


class BreaksAtStepSix(Good):
    def losses(self, batch, rng, step):
        broken = torch.where(step < 6, 1.0, float("nan"))
        return {"both": super().losses(batch, rng, step)["both"] * broken}

    configurations = {"small": Settings(steps=1_000)}


class BreaksAtTheEnd(BreaksAtStepSix):
    def losses(self, batch, rng, step):
        return {"both": Good.losses(self, batch, rng, step)["both"] / (step < 1_000)}


class ConstantCodes(Good):
    def encode(self, images):
        return torch.full((len(images), 4), 0.5, device=images.device)


class TuplesOfCodes(Good):
    def encode(self, images):
        return self.encoder(images), None


def failures(subject, kind="model"):
    """The messages of failed checks, and how often each was said."""
    return Counter(finding.message for finding in conformance.check(kind, subject) if finding.status == "failed")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (BreaksAtStepSix, "the loss of 'both' is nan at step 6 ("),
        (BreaksAtTheEnd, "the loss of 'both' is inf at step 1000 ("),
        (ConstantCodes, "all images have the same code"),
        (TuplesOfCodes, "`encode` must give a tensor (N, D), one row an image, not a tuple"),
    ],
)
def test_a_fault_that_shows_late_is_found_too_with_the_line_of_its_method(broken, words):
    method = broken.losses if "loss" in words else broken.encode
    where = f"test_conformance.py:{method.__code__.co_firstlineno}"
    assert any(words in message and where in message for message in failures(broken))


def test_what_a_nan_makes_meaningless_is_not_said():
    findings = conformance.check("model", NotANumber)
    [(message, count)] = failures(NotANumber).items()
    assert "the loss of 'both' is inf at step 1" in message
    assert count == 2, "at the first step, and in a training"
    skipped = {finding.message for finding in findings if finding.status == "skipped"}
    assert skipped == {"its losses don't stay finite, which makes this check say nothing"}


def test_what_was_tried_is_said():
    tried = {f.message for f in conformance.check("model", BreaksAtTheEnd) if f.status == "passed" and f.message}
    assert tried == {"tried 20 steps of a training"}
    tried = {f.message for f in conformance.check("model", Good) if f.message}
    assert tried == {"tried steps 1 and 4, both with the first weights", "tried 4 steps of a training"}


def test_a_long_training_is_left_when_its_time_is_over(monkeypatch):
    class Slow(Good):
        configurations = {"small": Settings(steps=1_000)}

    monkeypatch.setattr(little_checks, "SECONDS", 0.0)
    assert Little(Slow).trained == little_checks.Trained(0, whole=False)


class NoEncoder(Good):
    encode = Model.encode


@pytest.mark.parametrize("broken", [NeverRefused, NoEncoder])
def test_what_can_not_be_built_is_said_once(broken):
    findings = conformance.check("model", broken)
    assert [finding.status for finding in findings if finding.status != "passed"] == ["failed"]
    assert len(findings) <= 2


def test_equal_messages_stand_together():
    class Broken(Good):
        def losses(self, batch, rng, step):
            raise ValueError("planned")

    findings = conformance.check("model", Broken)
    [(finding, titles)] = [
        (each, titles) for each, titles in conformance.grouped(findings).items() if "planned" in each.message
    ]
    assert finding.message.startswith("ValueError: planned (")
    assert len(titles) > 5


def test_the_command_says_a_plugins_faults_once_each_with_its_line(tmp_path, command):
    plugin = little(tmp_path / "mine.py", "mine", ("        images = self.decoder", "        images = decoder"))
    little(tmp_path / "other.py", "other", ("    def encode", "    def encoder_"))
    done = command("check", "mine.py", "other.py", plugins=False)
    assert done.returncode == 1
    said = f"NameError: name 'decoder' is not defined (mine.py:{line_with(plugin, '= decoder')}, in losses)"
    assert done.stdout.count(said) == 1
    assert done.stdout.count("it does not define `encode`") == 1
    assert "conformance/" not in done.stdout


class HasNoFormWithoutData(Good):
    """An operation of a plugin's own, which torch knows on the CPU alone."""

    def losses(self, batch, rng, step):
        images = torch.ops.disentangle_bench_tests.twice(batch.images)
        return super().losses(Batch(images), rng, step)


def test_what_torch_cannot_try_without_data_is_skipped_with_its_reason():
    library = torch.library.Library("disentangle_bench_tests", "FRAGMENT")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: 2 * x, "CPU")
    findings = conformance.check("model", HasNoFormWithoutData)
    [skipped] = [finding for finding in findings if finding.status != "passed"]
    assert skipped.status == "skipped"
    assert "can't try this without a GPU" in skipped.message


class StepsByAdagrad(Good):
    def players(self):
        return {"both": replace(super().players()["both"], optimiser=torch.optim.Adagrad)}


def test_an_optimiser_that_is_not_captured_is_no_fault():
    [skipped] = [finding for finding in conformance.check("model", StepsByAdagrad) if finding.status != "passed"]
    assert skipped.status == "skipped"
    assert "it isn't known how the state of both's Adagrad begins" in skipped.message


def test_a_tape_does_again_what_it_recorded_on_the_values_of_now():
    rng = torch.Generator().manual_seed(0)
    x, total, python = torch.ones(2, 2, requires_grad=True), torch.zeros(()), 3.0
    with Tape() as tape:
        noise = torch.randn(2, generator=rng)
        (gradient,) = torch.autograd.grad((x.T * x).sum() * python, x)  # 6 x of a symmetric x
        total += gradient[0, 0]  # through a view
    assert (gradient == 6).all()
    assert total == 6
    first, python = noise.clone(), 4.0
    with torch.no_grad():
        x.copy_(torch.full((2, 2), 2.0))
    tape.replay()
    assert (gradient == 12).all(), "the tensor of today, the number of then"
    assert total == 18
    again = torch.Generator().manual_seed(0)
    assert torch.equal(first, torch.randn(2, generator=again))
    assert torch.equal(noise, torch.randn(2, generator=again)), "the next draw"


@pytest.mark.parametrize("good", [Good, KeepsAConstant])
def test_the_good_model_has_no_fault(good):
    assert {finding.status for finding in conformance.check("model", good)} == {"passed"}


def metric(compute, **changes) -> Metric:
    return Metric("mine", "mine", "me", compute, **{"protocols": {"only": None}} | changes)


STATE = {"calls": 0}


def counting(table, protocol, rng):
    STATE["calls"] += 1
    return {"score": 1 / STATE["calls"]}


def spoiling(table, protocol, rng):
    table.codes[:] = 0
    return {"score": 0.5}


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (metric(lambda t, p, r: {"score": float("nan")}), "must be a finite number"),
        (metric(lambda t, p, r: {"score": 3.0}), "outside `range` 0 to 1"),
        (metric(lambda t, p, r: {}), "`score` of ideal codes is None"),
        (metric(lambda t, p, r: {"skip": ""}), "`skip` must be a reason in words"),
        (metric(lambda t, p, r: {"skip": "never mind"}), "it skipped every oracle encoder"),
        (metric(lambda t, p, r: {"score": float(np.random.rand())}), "two runs with one seed differ"),  # noqa: NPY002
        (metric(counting), "two runs with one seed differ"),
        (metric(spoiling), "it changed the arrays"),
        (metric(mig.mig, protocols=mig.PROTOCOLS, higher_is_better=False), "but lower is better"),
        (metric(partial(mig.mig), protocols=mig.PROTOCOLS), "`compute` must be a function"),
        (metric(mig.mig, protocols={}), "`protocols` must name at least one"),
        (metric(mig.mig, protocols={"all": mig.PROTOCOLS["robust"]}), "no protocol may be called 'all'"),
        (metric(lambda t, p, r: {"score": float(1 / t.codes.var(axis=0).min())}), "ZeroDivisionError"),
    ],
)
def test_a_fault_in_a_metric_is_found_and_told(broken, words):
    with np.errstate(all="raise"):
        findings = conformance.check("metric", broken)
    assert any(f.status == "failed" and (words in f.message or "FloatingPointError" in f.message) for f in findings)


def test_a_fault_in_a_dataset_is_found_and_told():
    class Small(Bars):
        name = "small-bars"
        image_shape = (1, 16, 16)

        def __init__(self, root):
            super().__init__(self.image_shape)

    class Wrong(Small):
        factor_sizes = (3, 4, 4)
        same_image = {"row": {3: 0}}

        def decode(self, rows):
            return rows if isinstance(rows, np.ndarray) else rows.flip(0)

    def failed(cls):
        return " ".join(f.message for f in conformance.check("dataset", cls) if f.status == "failed")

    assert failed(Small) == ""
    assert "values 3 and 0 of 'row' give different images" in failed(Wrong)
    assert "other images for torch tensors" in failed(Wrong)


def test_what_was_never_looked_at_has_failed(tmp_path):
    class Elsewhere(Bars):
        image_shape = (1, 16, 16)

        @classmethod
        def prepared(cls, root):
            return None

    (finding,) = conformance.check("dataset", Elsewhere, tmp_path)
    assert finding.status == "failed"
    assert "every check was skipped: it is not prepared" in finding.message


def test_the_command_checks_a_users_file(tmp_path, command):
    good = command("check", str(EXAMPLE), plugins=False)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "my-vae" in good.stdout
    broken = tmp_path / "broken.py"
    broken.write_text(EXAMPLE.read_text().replace(", generator=rng", "").replace('"my-vae"', '"mine"'))
    done = command("check", str(broken), plugins=False)
    assert done.returncode == 1
    assert "draw from torch's global generator" in " ".join(done.stdout.split())
    assert command("check", plugins=False).returncode == 2
    assert command("check", "none.py", plugins=False).returncode == 2


def test_no_dataset_is_left_out():
    """What needs a download is checked on small files in its format; the four of MPI3D are one class by four names."""
    own = {
        "test_variants": ["dsprites-scream"],
        "test_images": ["chairs3d", "celeba", "folder"],
        "test_arrays": ["shapes3d", "cars3d", "smallnorb", "mnist", "fashion-mnist", "kmnist"],
    }
    mpi3d = [name for name in registry.BUILT_IN["dataset"] if name.startswith("mpi3d-")]
    drawn = ["dsprites", "dsprites-32", "dsprites-color8", "dsprites-color", "dsprites-noisy", *DRAWN]
    assert sorted(sum(own.values(), mpi3d + drawn)) == sorted(registry.BUILT_IN["dataset"])
    for module, names in own.items():
        text = (TESTS / "datasets" / f"{module}.py").read_text()
        assert "conformance" in text
        assert all(registry.get("dataset", name).__name__ in text for name in names), module


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda samples, p, rng: {"score": float("nan")}, "it must be a finite number"),
        (lambda samples, p, rng: {"score": 2.0}, "outside `range` 0 to 1"),
        (lambda samples, p, rng: {"score": float(np.random.default_rng().random())}, "gave two results"),
        (lambda samples, p, rng: {"score": samples.fake(100, rng).std() / 255}, "yet higher is said to be better"),
    ],
)
def test_a_fault_in_a_metric_of_images_is_found_and_told(score, message):
    metric = ImageMetric("broken", "Broken", "none", score, {"small": None})
    messages = [finding.message for finding in conformance.check("metric", metric) if finding.status == "failed"]
    assert any(message in each for each in messages), messages
