"""What a score takes on the data at hand, and what is too much unless it is asked for by name.

Some protocols train a classifier for each value of each factor. Thousands of values, as a column of numbers or of names
has, are hours of that, and mostly a mistake.
"""

from __future__ import annotations

import os

from disentangle_bench.contracts import CodeTable, Cost

LIMIT_S = 3600.0  # of processor time
SAID_S = 60.0  # from here on the cost is said before it starts
VARIABLE = "DISENTANGLE_BENCH_SLOW"  # METRIC/PROTOCOL, or several with commas: those that have no limit
LIFTED_BY = f"{VARIABLE}="  # by this the reason of such a skip is known


def classes(table: CodeTable, rows: int) -> int:
    """The values of all factors that vary, as far as so many rows can show them; two values are one question."""
    counts = table.value_counts[table.varying_factors].clip(max=rows)
    return int((counts - (counts == 2)).sum())


def too_dear(metric: str, protocol: str, cost: Cost, table: CodeTable) -> str:
    """Why a score is skipped for its cost, and how to have it all the same; "" where it isn't."""
    name = f"{metric}/{protocol}"
    if cost.seconds <= LIMIT_S or is_lifted(name):
        return ""
    most = int(table.value_counts.argmax())
    return (
        f"it {told(cost)}, and the limit is an hour: factor '{table.factor_names[most]}' has "
        f"{table.value_counts[most]:,} values. Merge values, or set {LIFTED_BY}{name} to compute it all the same"
    )


def told(cost: Cost) -> str:
    """A cost in words."""
    return f"{cost.work}, about {_rough(cost.seconds)} of processor time"


def is_lifted(name: str) -> bool:
    """Whether this METRIC/PROTOCOL may take as long as it likes."""
    return name in [each.strip() for each in os.environ.get(VARIABLE, "").split(",")]


def may_now(name: str, reason: str) -> bool:
    """Whether this METRIC/PROTOCOL was skipped for its cost, and has no limit any more."""
    return f"{LIFTED_BY}{name} " in reason and is_lifted(name)


def _rough(seconds: float) -> str:
    """Two digits, in the unit that suits."""
    for unit, length in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{float(f'{seconds / length:.2g}'):,g} {unit}"
    return f"{max(1, round(seconds))} s"
