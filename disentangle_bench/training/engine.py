"""How the device's part of a step is computed: eagerly, with compiled networks, or as a replayed CUDA graph.

All three run the same function, `StepState.advance`. A mode that a model can't be run in falls back to the next simpler
one; the reason is said on stderr and kept in the trial's record.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from disentangle_bench.models.base import Batch
from disentangle_bench.training.forwards import Forward, replaced, step_forwards
from disentangle_bench.training.snapshot import Snapshot
from disentangle_bench.training.step import Losses, StepState

Compute = Callable[[StepState], Losses]  # not bound to its state: a cycle would keep a finished trial's memory

MODES = ("captured-compiled", "captured", "compiled", "eager")  # each falls back to the next
WARM_UP = 3  # steps that are tried before one is recorded, in which libraries choose their kernels and workspaces
FROM_ZERO = (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.SGD)  # their state begins as zeros


class NotCapturable(Exception):
    """A model's step can't be a CUDA graph; the message says why."""


def start(state: StepState, mode: str, precision: str, trial: str) -> tuple[Compute, str]:
    """The next steps as a function of their state, and what that is, with the reasons why it is no faster one.

    mode, precision: as in `numerics.Numerics`. trial: for what is said on stderr.

    What is tried out here leaves no trace: parameters, buffers, optimisers and generators are put back. Only a lack
    of memory is no reason to fall back, for the simpler modes need it too.
    """
    makers = {"captured-compiled": captured_compiled, "captured": captured, "compiled": compiled, "eager": eager}
    reasons: list[str] = []
    for each in MODES[MODES.index(mode) :]:
        try:
            return makers[each](state, precision), "; ".join([each, *reasons])
        except Exception as error:  # a fault of the model itself comes back, with its traceback, in the eager step
            if out_of_memory(error):
                raise
            reason = f"not {each}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
            sys.stderr.write(f"Note: trial {trial}: {reason}\n")
            reasons.append(reason)
    raise AssertionError("the eager mode can't fail")


def eager(state: StepState, precision: str) -> Compute:
    """The step as it is written."""
    return with_forwards(state, precision, compile_networks=False)


def compiled(state: StepState, precision: str) -> Compute:
    """The step with each network compiled, after one step that is taken back.

    Losses, draws and optimisers stay eager, and so the numbers that are drawn are the same.
    """
    step = with_forwards(state, precision, compile_networks=True)
    try_out(state, step, 1)
    return step


def with_forwards(state: StepState, precision: str, compile_networks: bool) -> Compute:
    """`StepState.advance` with the networks' forwards of a precision."""
    forwards = step_forwards(state.model, state.model.device, precision, compile_networks)

    def step(state: StepState) -> Losses:
        with replaced(forwards):
            return state.advance()

    return step


def try_out(state: StepState, step: Compute, times: int) -> None:
    """Run some steps and put back all that they changed."""
    before = Snapshot(state)
    try:
        for _ in range(times):
            step(state)
    finally:
        before.restore()


def captured_compiled(state: StepState, precision: str) -> Compute:
    """As `captured`, of compiled networks: fewer and larger kernels."""
    return captured(state, precision, compile_networks=True)


def captured(state: StepState, precision: str, compile_networks: bool = False) -> Compute:
    """The step recorded as a CUDA graph, whose replay costs the host one call.

    Warmed up on a side stream, as torch.cuda.graphs asks for; the generator is registered with the graph, so a replay
    draws the numbers that an eager step would. Images that are not on the device are gathered before each replay, into
    the tensors that the graph reads.
    """
    if state.model.device.type != "cuda":
        raise NotCapturable(f"the model is on the {state.model.device.type}")
    refuse_unknown_states(state)
    forwards = step_forwards(state.model, state.model.device, precision, compile_networks)
    before = Snapshot(state)
    try:
        batch = None if state.images.resident else state.batch(state.rng)
        warm_up(state, forwards, batch)
        changed = before.changed_settings()
        if changed:
            raise NotCapturable(f"the optimiser of {changed[0]} changes its settings on the host, from step to step")
        with replaced(forwards):
            graph, losses = record(state, batch)
    finally:
        before.restore(zero=True)

    def replay(state: StepState) -> Losses:
        if batch is not None:
            refill(batch, state.batch(state.rng))
        graph.replay()
        return losses

    return replay


def refuse_unknown_states(state: StepState) -> None:
    """`NotCapturable` unless all optimisers' state is zeros before the first step, as it is put back to."""
    for name, optimiser in state.optimisers.items():
        if not begins_at_zero(optimiser):
            raise NotCapturable(f"it isn't known how the state of {name}'s {type(optimiser).__name__} begins")


def begins_at_zero(optimiser: torch.optim.Optimizer) -> bool:
    """Whether an optimiser's state is known to begin as zeros; one that is not torch's says so by `from_zero`."""
    known = isinstance(optimiser, FROM_ZERO) or getattr(optimiser, "from_zero", False)
    return known and not any(group.get("dampening") for group in optimiser.param_groups)


def warm_up(state: StepState, forwards: dict[nn.Module, Forward], batch: Batch | None) -> None:
    """A few steps on a side stream, in which libraries choose their kernels, and the last shows if any waits.

    What waits for the device, or copies from the host, would spoil a recording beyond repair; here it is an error.
    """
    side, current = torch.cuda.Stream(), torch.cuda.current_stream()
    side.wait_stream(current)
    before = torch.cuda.get_sync_debug_mode()
    try:
        with torch.cuda.stream(side), replaced(forwards), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that these optimisers are made to be captured
            for left in reversed(range(WARM_UP)):
                if left == 0:
                    torch.cuda.set_sync_debug_mode("error")
                state.advance(batch)
    finally:
        torch.cuda.set_sync_debug_mode(before)
        current.wait_stream(side)


def record(state: StepState, batch: Batch | None) -> tuple[torch.cuda.CUDAGraph, Losses]:
    """One step as a graph, and the tensors that each replay writes the losses to."""
    graph, pool, current = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle(), torch.cuda.current_stream()
    graph.register_generator_state(state.rng)
    gc.collect()  # what a collection frees in the middle of a recording could end it
    collecting = gc.isenabled()
    gc.disable()
    # cuBLAS keeps its workspaces by stream: graphs that are replayed side by side must each have their own.
    torch._C._cuda_clearCublasWorkspaces()
    try:
        with torch.cuda.graph(graph, pool=pool):
            losses = state.advance(batch)
        return graph, losses
    except BaseException:
        torch.cuda.set_stream(current)
        give_up(state, pool)
        raise
    finally:
        torch._C._cuda_clearCublasWorkspaces()
        if collecting:
            gc.enable()


def give_up(state: StepState, pool: Any) -> None:
    """Undo what torch leaves behind of a recording that failed, as far as it matters: memory that it still collects,
    and generators that still believe to be recorded."""
    device = torch.cuda.current_device()
    try:
        torch._C._cuda_endAllocateToPool(device, pool)
    except RuntimeError:
        pass  # the recording had ended; the graph gives its pool back itself
    else:
        torch._C._cuda_releasePool(device, pool)
    state.rng = state.rng.clone_state()  # clones are of the numbers alone
    default = torch.cuda.default_generators[device]
    default.graphsafe_set_state(default.clone_state())


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an error is a lack of memory, or came up while one was handled: CUDA's libraries have their own words."""
    certain, doubtful = ("out of memory", "ALLOC_FAILED"), ("ALLOCATION_FAILED", "unable to find an engine")
    while error is not None:
        said = str(error)
        if isinstance(error, torch.OutOfMemoryError) or any(word in said for word in certain):
            return True
        if any(word in said for word in doubtful) and torch.cuda.is_available():
            free, total = torch.cuda.mem_get_info()
            return free < total / 10
        error = error.__cause__ or error.__context__
    return False


def refill(batch: Batch, drawn: Batch) -> None:
    """Write a newly drawn batch into the tensors of one that a graph reads."""
    for kept, new in ((batch.images, drawn.images), (batch.labels, drawn.labels), (batch.second, drawn.second)):
        if kept is not None and new is not None:
            kept.copy_(new)


def make_capturable(optimiser: torch.optim.Optimizer) -> None:
    """Have an optimiser count its steps on the device, and move all parameters in one kernel where it can."""
    for group in optimiser.param_groups:
        if "capturable" in group:
            group["capturable"] = True
            if "fused" in group:
                group["fused"] = True
