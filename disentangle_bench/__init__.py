"""disentangle-bench: train, score and compare disentangled representations over many seeds.

from disentangle_bench import load_trial
load_trial("3f2a…").encode(images)        # codes (N, D) of uint8 images (N, C, H, W)

from disentangle_bench.metrics import score   # on plain arrays, without torch or Ray
from disentangle_bench.datasets import load
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from disentangle_bench.trials.finished import load_trial

__all__ = ["load_trial"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for, so that the metrics can be used without."""
    if name == "load_trial":
        from disentangle_bench.trials.finished import load_trial

        return load_trial
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
