"""What a trial sets for its process: threads, which kernels it may use, and what becomes of freed memory."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # glibc's malloc.h
KEEP = 1 << 30  # bytes

# What torch asks for before it calls cuBLAS deterministic. It looks at the process's first product, and never again.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """`count` threads for torch and for BLAS, and what was before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def set_up_process(precision: str = "float32", deterministic: bool = False) -> None:
    """What every trial needs of its process, whatever it was used for before; arguments as in `numerics.Numerics`."""
    torch.backends.cudnn.allow_tf32 = precision == "tf32"  # cuDNN's own default is TF32; here float32 means float32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.deterministic = deterministic
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # for finding faults only
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks up to 1 GiB for the process; elsewhere this does nothing.

    By default each batch's activations go back to the system and are mapped and zeroed anew for the next: encoding then
    takes up to twice as long. No result depends on it.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(option, KEEP)
