"""Whether a step could run on a GPU, and be captured there as a CUDA graph, found out where there is none.

Torch's `meta` device holds tensors without data. What it can't do is what a captured step mustn't: read a value, or
take a tensor from the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from disentangle_bench.conformance import Fault, Skip

META = torch.device("meta")
NO_DATA = "Cannot copy out of meta tensor"  # torch's words
FROM_HOST = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy)
aten = torch.ops.aten
SIZED_BY_VALUES = {
    aten.nonzero, aten.masked_select, aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.bincount,
    aten.repeat_interleave,
}  # fmt: skip
CHECKED_ON_HOST = {aten.multinomial, aten.equal}  # their CUDA kernels wait for a result


class NoHostReads(TorchDispatchMode):
    """Finds, on the CPU, where a tensor's value is read by Python or decides a shape."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operation = func.overloadpacket
        if operation is aten._local_scalar_dense:
            raise Fault("it reads a tensor's value (.item(), float(), or an `if` on it); keep it on the device")
        masked = operation in (aten.index, aten.index_put) and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if masked or operation in SIZED_BY_VALUES:
            raise Fault(
                f"the shape of what {operation} gives depends on values, which a GPU must be waited for; multiply by a "
                "mask, or use torch.where"
            )
        if operation in CHECKED_ON_HOST:
            raise Fault(f"{operation} waits for the device; draw categories as the argmax of logits + Gumbel noise")
        return func(*args, **(kwargs or {}))


class NothingFromHost(TorchFunctionMode):
    """Finds, on the meta device, what is on the host by mistake; in a step also what is copied from there."""

    def __init__(self, copies: bool) -> None:
        super().__init__()
        self.copies = copies

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        drawn = kwargs.pop("generator", None) is not None  # meta tensors have none
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = any(tensor.device == META for tensor in given)
        hosts = [tensor for tensor in given if tensor.device != META and tensor.ndim]  # one number may be the CPU's
        name = getattr(func, "__name__", str(func))
        if hosts and there:
            raise Fault(
                f"`{name}` meets a tensor of the CPU, of shape {tuple(hosts[0].shape)}, where the model is on a GPU; "
                + REMEDY
            )
        result = func(*args, **kwargs)
        made = isinstance(result, Tensor) and result.device == META
        if drawn and not made:
            raise Fault(f"`{name}` draws on the CPU where the model is on a GPU; give it `device=self.device`")
        if made and not self.copies and not there and (given or func in FROM_HOST):
            raise Fault(
                f"`{name}` copies a tensor of shape {tuple(result.shape)} from the CPU in each step, which a CUDA "
                f"graph can't record; {REMEDY}"
            )
        return result


REMEDY = "make it there with `device=`, as torch.full and torch.randn take it, or once as a buffer"


class Tape(TorchDispatchMode):
    """Records operations on the CPU as a CUDA graph records kernels: replayed, they read and write the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []  # function, arguments, named ones, what it gave

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        views = [value.alias_info is not None and not value.alias_info.is_write for value in func._schema.returns]
        if not any(views):  # a view shows what is in its base by then
            self.operations.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Do them all again, each result into the tensor that it had at first."""
        for func, args, kwargs, result in self.operations:
            for kept, new in zip(tree_leaves(result), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(kept, Tensor) and kept is not new:
                    kept.copy_(new)


@contextmanager
def on_device(copies: bool = False) -> Iterator[None]:
    """The block works on meta tensors; `Fault` where it needs the host, if only for a copy, unless `copies`.

    `Skip` where it uses an operation that torch can't do without data.
    """
    try:
        with NothingFromHost(copies):
            yield
    except NotImplementedError as error:
        said = str(error)
        if NO_DATA in said:
            raise Fault("it copies a tensor from the device to the CPU (.cpu(), .to('cpu')); keep it there") from error
        if "meta" not in said.lower():
            raise  # the subject's own
        raise Skip(f"torch can't try this without a GPU: {said.splitlines()[0][:200]}") from error
