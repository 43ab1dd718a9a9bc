"""Checks that a model, a dataset or a metric keeps its contract, in words that say how to mend it.

    disentangle-bench check my_model.py       or in a test of your own:  conformance.check("model", MyModel)

The checks that run over what is built in and those that a plugin's author runs are the same.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from disentangle_bench.contracts import ImageMetric
from disentangle_bench.registry import Kind

Status = Literal["passed", "failed", "skipped"]


class Fault(Exception):
    """The contract is broken: the message says what was found and how to mend it."""


class Skip(Exception):
    """The check can't be made here; the message says why. An error in the subject never becomes one."""


@dataclass(frozen=True)
class Finding:
    """What one check said of one subject; `message` is empty where it passed."""

    kind: Kind
    name: str
    check: str
    status: Status
    message: str = ""


def check(kind: Kind, subject: Any, data: Path | None = None) -> list[Finding]:
    """All checks of a kind on a Model or Dataset class, a `Metric` or a `Comparison`.

    data: the data root where a dataset is prepared. A subject all of whose checks were skipped has failed.
    """
    if kind == "model":
        from disentangle_bench.conformance.little import Subject
        from disentangle_bench.conformance.models import CHECKS

        findings = run(kind, subject.name, CHECKS, Subject(subject))
    elif kind == "dataset":
        from disentangle_bench.conformance import datasets

        findings = run(kind, subject.name, datasets.CHECKS, datasets.Subject(subject, data))
    else:
        from disentangle_bench.conformance import image_metrics, metrics

        if isinstance(subject, ImageMetric):
            return run(kind, subject.name, image_metrics.CHECKS, subject)
        findings = run(kind, subject.name, metrics.CHECKS if kind == "metric" else metrics.COMPARISON_CHECKS, subject)
    if findings[1:] and all(finding.status == "skipped" for finding in findings[1:]):  # the first reads declarations
        reason = findings[1].message
        return [Finding(kind, subject.name, "was checked", "failed", f"every check was skipped: {reason}")]
    return findings


def run(kind: Kind, name: str, checks: Iterable[Callable[[Any], None]], subject: Any) -> list[Finding]:
    """One finding a check; the first line of a check's docstring is what it is called."""
    findings = []
    for each in checks:
        title = str(inspect.getdoc(each)).splitlines()[0].rstrip(".")
        try:
            each(subject)
            findings.append(Finding(kind, name, title, "passed"))
        except Fault as fault:
            findings.append(Finding(kind, name, title, "failed", str(fault)))
        except Skip as reason:
            findings.append(Finding(kind, name, title, "skipped", str(reason)))
        except (Exception, SystemExit) as error:
            findings.append(Finding(kind, name, title, "failed", told(error)))
    return findings


def told(error: BaseException) -> str:
    """An error of the subject's own code: what it says, and where it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(last.filename).name}, line {last.lineno})"


def require(condition: Any, fault: str) -> None:
    """Raise `Fault` unless the condition holds."""
    if not condition:
        raise Fault(fault)
