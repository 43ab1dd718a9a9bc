"""How a step is computed: numerics in a trial's identity, trying out without a trace, compiled and bfloat16 steps."""

import copy
import io
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from torch.nn.utils.parametrize import ParametrizationList

from disentangle_bench import registry
from disentangle_bench.errors import UserError
from disentangle_bench.training.engine import WARM_UP, begins_at_zero, out_of_memory, try_out
from disentangle_bench.training.forwards import replaced, step_forwards
from disentangle_bench.training.images import DeviceImages
from disentangle_bench.training.numerics import Numerics, resolve_numerics
from disentangle_bench.training.process import set_up_process, threads
from disentangle_bench.training.snapshot import Snapshot
from disentangle_bench.training.step import Losses, StepState
from disentangle_bench.training.trainer import Trainer, build_model
from disentangle_bench.trials.records import read_record
from tests.helpers import TESTS, run_command

pytestmark = pytest.mark.usefixtures("place")

RECORDS = sorted((TESTS.parent / "results/mini/records").glob("*.json"))
BUILT_IN = [name for name in registry.names("model") if not registry.source_hash("model", name)]
CPU = torch.device("cpu")


needs_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler, which torch.compile needs"
)


@pytest.fixture(autouse=True)
def one_thread():
    with threads(1):
        yield
    set_up_process()  # whatever the test asked for


def trainer(folder: Path, model: str, device: str = "cpu", precision="float32", mode="eager", **changes) -> Trainer:
    cls = registry.get("model", model)
    config = cls.configurations["small"].model_copy(update={"steps": 12, "batch_size": 8, **changes})
    dataset = registry.get("dataset", "tiny")(folder)
    built = build_model(cls, config, dataset.image_shape, 0, dataset.classes()).to(device)
    images = DeviceImages(dataset, built.device, built.image_range)
    return Trainer(built, images, config, 0, "trial", folder / "checkpoint.pt", precision, mode)


def advance(ours: Trainer, steps: int) -> Losses:
    """Some steps; the last one's losses."""
    ours.model.train()
    for _ in range(steps):
        ours.step += 1
        losses = ours.update()
    return losses


def everything(ours: Trainer) -> bytes:
    """All that a step may change, as bytes."""
    gradients = [parameter.grad for parameter in ours.model.parameters()]
    tensors = [*ours.model.state_dict().values(), *ours.model.buffers(), ours.state.healthy, ours.state.rng.get_state()]
    states = [copy.deepcopy(optimiser.state_dict()) for optimiser in ours.state.optimisers.values()]
    buffer = io.BytesIO()
    torch.save([tensors, gradients, states, torch.get_rng_state()], buffer)
    return buffer.getvalue()


def gradient(ours: Trainer, player: str) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in ours.players[player].parameters])


def apart(a: Trainer, b: Trainer) -> float:
    """The largest distance of a player's gradients, of their norm."""
    return max(
        ((gradient(a, name).cpu() - gradient(b, name).cpu()).norm() / gradient(a, name).norm().cpu()).item()
        for name in a.players
    )


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_trials_of_earlier_versions_keep_their_ids_and_their_records_load(path):
    record = read_record(path)
    assert record.spec.id == record.id == path.stem
    content = json.loads(path.read_text())
    assert record.engine == content.get("engine", ""), "the first records had no such field"


def test_precision_and_mode_are_part_of_a_trials_identity():
    spec = read_record(RECORDS[0]).spec
    others = [Numerics(precision="bf16"), Numerics(mode="compiled"), Numerics(precision="tf32", device="cuda")]
    ids = {spec.model_copy(update={"numerics": numerics}).id for numerics in [spec.numerics, *others]}
    assert len(ids) == 4


def test_auto_is_eager_float32_on_a_cpu():
    plain = Numerics(device="cpu", threads=1, precision="float32", mode="eager")
    assert resolve_numerics({"device": "cpu"}) == resolve_numerics({"device": "cpu", "mode": "auto"}) == plain


def test_deterministic_is_part_of_a_gpus_numerics_alone():
    spec = read_record(RECORDS[0]).spec
    gpu = [Numerics(device="cuda", deterministic=value) for value in (False, True)]
    assert len({spec.model_copy(update={"numerics": numerics}).id for numerics in gpu}) == 2
    assert [str(numerics) for numerics in gpu] == ["cuda 1 float32 eager", "cuda 1 float32 eager deterministic"]
    assert resolve_numerics({"device": "cpu", "deterministic": True}) == resolve_numerics({"device": "cpu"})


def test_a_process_is_set_up_anew_for_each_trial():
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"]
    set_up_process("float32", deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.deterministic
    set_up_process("float32")
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.deterministic


@pytest.mark.gpu
def test_auto_is_captured_on_a_gpu():
    assert resolve_numerics({}) == Numerics(device="cuda", mode="captured")
    assert resolve_numerics({"mode": "eager"}).mode == "eager"


@pytest.mark.parametrize(
    ("numerics", "sentence"),
    [
        ({"mode": "captured"}, r"numerics\.mode is captured.*device is cpu; set numerics\.mode=eager"),
        ({"mode": "captured-compiled"}, r"numerics\.mode is captured-compiled.*set numerics\.mode=eager"),
        ({"precision": "tf32"}, r"numerics\.precision is tf32.*set numerics\.precision=float32 or bf16"),
        ({"precision": "fp16"}, r"numerics\.precision = 'fp16'.*'float32', 'tf32' or 'bf16'"),
        ({"mode": "fast"}, r"numerics\.mode = 'fast'.*'eager', 'compiled', 'captured' or 'captured-compiled'"),
    ],
)
def test_numerics_that_a_cpu_cannot_do_get_a_sentence(numerics, sentence):
    with pytest.raises(UserError, match=sentence):
        resolve_numerics({"device": "cpu", **numerics})


@pytest.mark.parametrize("steps", [0, 2], ids=["fresh", "under way"])
@pytest.mark.parametrize("model", BUILT_IN)
def test_trying_steps_out_leaves_no_trace(tmp_path, model, steps):
    ours, plain = trainer(tmp_path, model), trainer(tmp_path, model)
    for each in (ours, plain):
        each.model.train()
        if steps:
            advance(each, steps)
    before = everything(ours)
    tried = []

    def step(state: StepState) -> Losses:
        losses = state.advance()
        tried.append(everything(ours))
        return losses

    try_out(ours.state, step, WARM_UP)
    assert len({before, *tried}) == WARM_UP + 1, "each of them changed something"
    assert everything(ours) == before
    advance(ours, 2)
    advance(plain, 2)
    assert everything(ours) == everything(plain)


@pytest.mark.parametrize("steps", [0, 2], ids=["fresh", "under way"])
@pytest.mark.parametrize("model", ["ib-gan", "infogan-cr", "factor-vae", "momentum", "rmsprop"])
def test_an_optimisers_state_set_to_zero_is_that_before_its_first_step(tmp_path, model, steps):
    """What capturing relies on: the graph needs the state's memory, and a step from zeros must equal a first step."""
    special = {"momentum": torch.optim.SGD, "rmsprop": torch.optim.RMSprop}
    pair = [trainer(tmp_path, "gan" if model in special else model) for _ in range(2)]
    for each in pair:
        each.model.train()
        for name, player in each.players.items() if model in special else ():
            each.state.optimisers[name] = special[model](player.parameters, lr=0.01, momentum=0.9)
        assert all(begins_at_zero(optimiser) for optimiser in each.state.optimisers.values())
        if steps:
            advance(each, steps)
    ours, plain = pair
    before = Snapshot(ours.state)
    for _ in range(WARM_UP):
        ours.state.advance()
    places = [value.data_ptr() for value in state_tensors(ours)]
    before.restore(zero=True)
    assert places == [value.data_ptr() for value in state_tensors(ours)]
    advance(ours, 2)
    advance(plain, 2)
    assert everything(ours) == everything(plain)


def state_tensors(ours: Trainer) -> list[torch.Tensor]:
    states = [state for optimiser in ours.state.optimisers.values() for state in optimiser.state.values()]
    return [value for state in states for value in state.values()]


def test_an_optimiser_with_a_schedule_of_its_own_is_noticed(tmp_path):
    ours = trainer(tmp_path, "cgan", optimiser="sgd", d_lr=0.1, g_lr=0.1)
    before = Snapshot(ours.state)
    assert before.changed_settings() == []
    ours.model.train()
    ours.state.advance()
    assert before.changed_settings() == ["discriminator", "generator"]
    before.restore()
    assert before.changed_settings() == []


@needs_compiler
@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("turns", {}),
        ("factor-vae", {"architecture": "mlp", "d_layers": 1}),
        pytest.param("wgan-gp", {"lr": 1e-5, "batch_size": 20}, marks=pytest.mark.slow),  # differentiated twice
    ],
)
def test_compiled_steps_equal_eager_ones(tmp_path, model, changes):
    """Losses to 1e-5, gradients to 1e-4 of a player's norm, at the first step and after some."""
    eager, ours = trainer(tmp_path, model, **changes), trainer(tmp_path, model, mode="compiled", **changes)
    for steps in (1, 4):
        expected, found = advance(eager, steps), advance(ours, steps)
        assert ours.history.engine == "compiled"
        for name in expected:
            assert found[name].item() == pytest.approx(expected[name].item(), rel=1e-5)
        assert apart(eager, ours) < 1e-4
    assert torch.equal(eager.state.rng.get_state(), ours.state.rng.get_state())


@needs_compiler
def test_compiled_players_move_only_against_their_own_loss(tmp_path):
    """Each player's gradient is that of its own loss, computed alone by another trainer."""
    ours = trainer(tmp_path, "factor-vae", mode="compiled", architecture="mlp", d_layers=1)
    advance(ours, 1)
    for name in ours.players:
        alone = trainer(tmp_path, "factor-vae", architecture="mlp", d_layers=1)
        alone.model.train()
        batch, rng = alone.state.batch(alone.state.rng), alone.state.rng
        loss = alone.model.losses(batch, rng, torch.ones((), dtype=torch.int64))[name]
        loss.backward(inputs=alone.players[name].parameters)
        assert torch.allclose(gradient(alone, name), gradient(ours, name), rtol=1e-3, atol=1e-5)


@needs_compiler
def test_a_mode_that_fails_falls_back_and_says_why(tmp_path, capsys):
    """A CUDA graph where there is no CUDA device: the networks are compiled instead."""
    ours = trainer(tmp_path, "turns", mode="captured")
    advance(ours, 1)
    assert ours.history.engine.startswith("compiled; not captured: ")
    assert "Note: trial trial: not captured: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), False),  # with memory to spare
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (MemoryError("planned"), False),
    ],
)
def test_a_lack_of_device_memory_is_told_from_other_errors(error, expected):
    assert out_of_memory(error) == expected
    later = RuntimeError("operation failed due to a previous error during capture")
    later.__context__ = error
    assert out_of_memory(later) == expected


def test_without_a_compiler_a_trial_is_eager_and_its_record_says_why(tmp_path):
    nowhere = {"CXX": str(tmp_path / "no-compiler"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = run_command(tmp_path, "run", "--models", "vae", "--dataset", "tiny", "--name", "s", "--local",
                       "--set", "steps=2", "--set", "metrics={factor-vae: [robust]}",
                       "--set", "numerics.mode=compiled", **nowhere)  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = read_record(next(tmp_path.glob("results/runs/*/record.json")))
    assert (record.status, record.spec.numerics.mode) == ("finished", "compiled")
    assert record.engine.startswith("eager; not compiled: ")
    assert record.engine.removeprefix("eager; ") in done.stderr


def test_a_fault_of_the_model_itself_keeps_its_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError, match="planned crash"):
        advance(trainer(tmp_path, "faulty", mode="captured", crash_at=1), 1)


@pytest.mark.parametrize("model", ["ib-gan", "infogan-modified", "factor-vae", "cgan"])
def test_bfloat16_is_near_float32_and_only_inside_networks(tmp_path, model):
    plain, ours = trainer(tmp_path, model), trainer(tmp_path, model, precision="bf16")
    expected, found = advance(plain, 1), advance(ours, 1)
    for name in expected:
        assert found[name].dtype == torch.float32
        assert found[name].item() != expected[name].item()
        assert found[name].item() == pytest.approx(expected[name].item(), rel=0.1, abs=0.1)
    assert {value.dtype for value in ours.model.state_dict().values()} <= {torch.float32, torch.int64}
    assert {value.dtype for value in state_tensors(ours)} == {torch.float32}
    images = ours.images(torch.arange(4))
    assert ours.model.eval().encode(images).dtype == torch.float32
    ours.model.load_state_dict(plain.model.state_dict())
    assert torch.equal(ours.model.encode(images), plain.model.eval().encode(images)), "codes are float32's"


def test_bfloat16_keeps_each_players_gradient_its_own(tmp_path):
    """infogan-cr's H sees G's images without moving G: a player that is left out keeps its weights."""
    ours = trainer(tmp_path, "infogan-cr", precision="bf16")
    ours.model.train()
    with replaced(step_forwards(ours.model, CPU, "bf16", compiled=False)):
        shared = ours.model.begin(ours.state.batch(ours.state.rng), ours.state.rng, ours.state.number)
        loss = ours.model.contrast_losses(shared, ours.state.rng, ours.state.number)["contrast"]
    generator = ours.players["generator"].parameters
    assert torch.autograd.grad(loss, generator, allow_unused=True) == (None,) * len(generator)


def test_spectral_norms_weights_stay_float32_under_bfloat16(tmp_path):
    """One forward pass: the images' products are rounded, the weights that it divides are float32's to the byte."""
    plain, ours = (trainer(tmp_path, "infogan-modified").model.train() for _ in range(2))
    images = torch.rand(8, 1, 16, 16)
    norms = [module for module in ours.shared.modules() if isinstance(module, ParametrizationList)]
    seen = []
    for norm in norms:
        norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with replaced(step_forwards(ours, CPU, "bf16", compiled=False)):
        rounded = ours.shared(images)
    assert not torch.equal(rounded, plain.shared(images))
    weights = [module() for module in plain.shared.modules() if isinstance(module, ParametrizationList)]
    assert len(weights) == len(seen) > 0
    assert all(torch.equal(a, b) for a, b in zip(seen, weights, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["ib-gan", "infogan-cr", "factor-vae"])
def test_cpu_and_gpu_agree_on_one_step(tmp_path, model):
    """Gradients to 1e-4 of their norm, from the same draws: the CPU's, which the GPU is given as batch and noise."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    host, card = trainer(tmp_path, model), trainer(tmp_path, model, "cuda")
    card.state.rng = host.state.rng  # draws on the host; `DrawnOnHost` moves them
    with DrawnOnHost():
        advance(card, 1)
    host.state.rng = trainer(tmp_path, model).rng
    advance(host, 1)
    assert apart(host, card) < 1e-4


class DrawnOnHost(torch.overrides.TorchFunctionMode):
    """Random tensors that are asked for on a device are drawn on the CPU and copied."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.randn, torch.rand, torch.randint) and kwargs.get("generator") is not None:
            device = kwargs.pop("device", None)
            return func(*args, **kwargs, device="cpu").to(device or "cpu")
        return func(*args, **kwargs)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("ib-gan", {}),
        ("ib-gan", {"optimiser": "rmsprop"}),
        ("infogan-cr", {"switch_step": 5}),
        ("factor-vae", {}),
        ("c-infogan", {}),
        ("cgan", {"dropout": 0.5}),
        ("wgan-gp", {"lr": 1e-5, "batch_size": 20}),
    ],
)
@pytest.mark.parametrize("resident", [True, False], ids=["resident", "mapped"])
def test_captured_steps_equal_eager_ones(tmp_path, model, changes, resident):
    """To 1e-4; to 1e-2 after some steps, for a captured Adam is the fused one, whose last digits are others."""
    set_up_process(deterministic=True)
    pair = [trainer(tmp_path, model, "cuda", mode=mode, **changes) for mode in ("eager", "captured")]
    for each in pair:
        if not resident:
            each.images.rows, each.images.resident = each.images.rows.cpu(), False
    eager, ours = pair
    for step in range(8):
        expected, found = advance(eager, 1), advance(ours, 1)
        for name in expected:
            assert found[name].item() == pytest.approx(expected[name].item(), rel=1e-4 if step < 3 else 1e-2)
    assert ours.history.engine == "captured"
    assert torch.equal(eager.state.rng.get_state(), ours.state.rng.get_state())


@pytest.mark.gpu
@needs_compiler
@pytest.mark.parametrize("mode", ["compiled", "captured-compiled"])
def test_compiled_steps_equal_eager_ones_on_a_gpu(tmp_path, mode):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    eager, ours = (trainer(tmp_path, "ib-gan", "cuda", mode=each) for each in ("eager", mode))
    for _ in range(4):
        expected, found = advance(eager, 1), advance(ours, 1)
        for name in expected:
            assert found[name].item() == pytest.approx(expected[name].item(), rel=1e-3)
    assert ours.history.engine == mode


@pytest.mark.gpu
@pytest.mark.parametrize("fault", ["reads a value", "copies from the host", "fails in the recording alone"])
def test_a_step_that_can_not_be_captured_is_computed_all_the_same(tmp_path, fault, monkeypatch):
    """Whatever the recording left behind, the simpler mode's steps are those of a trial that was always eager."""
    pair = [trainer(tmp_path, "vae", "cuda", mode=mode) for mode in ("eager", "captured")]
    tensor = torch.ones(3)
    for each in pair:
        losses = each.model.losses

        def spoiled(batch, rng, step, losses=losses):
            if fault == "reads a value":
                step.item()
            elif fault == "copies from the host":
                tensor.to(step.device)
            elif torch.cuda.is_current_stream_capturing():
                torch.cuda.synchronize()
            return losses(batch, rng, step)

        monkeypatch.setattr(each.model, "losses", spoiled)
    eager, ours = pair
    for _ in range(4):
        expected, found = advance(eager, 1), advance(ours, 1)
        assert found["vae"].item() == pytest.approx(expected["vae"].item(), rel=1e-3)
    assert ours.history.engine.split("; ")[1].startswith("not captured: ")
    torch.cuda.empty_cache()
    captured = trainer(tmp_path, "vae", "cuda", mode="captured")
    advance(captured, 2)
    assert captured.history.engine == "captured", "another trial of the process can be captured still"


@pytest.mark.gpu
def test_a_step_waits_for_no_result_of_the_device(tmp_path):
    for mode in ("eager", "captured"):
        ours = trainer(tmp_path, "ib-gan", "cuda", mode=mode)
        advance(ours, 2)
        torch.cuda.set_sync_debug_mode("error")
        try:
            advance(ours, 3)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_a_captured_step_is_no_slower(tmp_path):
    rates = {}
    for mode in ("eager", "captured"):
        ours = trainer(tmp_path, "ib-gan", "cuda", mode=mode)
        advance(ours, 5)
        torch.cuda.synchronize()
        start = time.perf_counter()
        advance(ours, 50)
        torch.cuda.synchronize()
        rates[mode] = time.perf_counter() - start
    assert rates["captured"] < rates["eager"]
