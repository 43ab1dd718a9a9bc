"""Checks that a model, a dataset or a metric keeps its contract, in words that say how to mend it.

    disentangle-bench check my_model.py       or in a test of your own:  conformance.check("model", MyModel)

The checks that run over what is built in and those that a plugin's author runs are the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from disentangle_bench.blame import own_frames, place, said
from disentangle_bench.contracts import ImageMetric
from disentangle_bench.errors import PluginError
from disentangle_bench.plugins import file_of, line_of
from disentangle_bench.registry import Kind

Status = Literal["passed", "failed", "skipped"]


class Fault(Exception):
    """The contract is broken: the message says what was found and how to mend it."""


class Fatal(Fault):
    """A fault that leaves nothing else to look at; the checks that would follow are left out."""


class Skip(Exception):
    """The check can't be made here; the message says why. An error in the subject never becomes one."""


@dataclass(frozen=True)
class Finding:
    """What one check said of one subject; where it passed, `message` may say what was tried, or is empty."""

    kind: Kind
    name: str
    check: str
    status: Status
    message: str = ""


def check(kind: Kind, subject: Any, data: Path | None = None) -> list[Finding]:
    """All checks of a kind on a Model or Dataset class, a `Metric` or a `Comparison`.

    data: the data root where a dataset is prepared. A subject all of whose checks were skipped has failed, but for a
    metric whose protocols all take minutes.
    """
    about: dict[str, str] = {}
    looked_at: Any = subject
    checks: list[Callable[[Any], Any]]
    if kind == "model":
        from disentangle_bench.conformance import models
        from disentangle_bench.conformance.little import Subject

        checks, about, looked_at = [*models.CHECKS], models.ABOUT, Subject(subject)
    elif kind == "dataset":
        from disentangle_bench.conformance import datasets

        checks, looked_at = [*datasets.CHECKS], datasets.Subject(subject, data)
    else:
        from disentangle_bench.conformance import image_metrics, metrics

        checks = [*(metrics.CHECKS if kind == "metric" else metrics.COMPARISON_CHECKS)]
        checks = image_metrics.CHECKS if isinstance(subject, ImageMetric) else checks
    findings = run(kind, subject, checks, looked_at, about)
    if kind == "metric" and set(subject.slow) >= set(subject.protocols):  # it says itself that it takes minutes
        return findings
    if findings[1:] and all(finding.status == "skipped" for finding in findings[1:]):  # the first reads declarations
        reason = findings[1].message
        return [Finding(kind, subject.name, "was checked", "failed", f"every check was skipped: {reason}")]
    return findings


def run(
    kind: Kind, subject: Any, checks: Iterable[Callable[[Any], Any]], looked_at: Any, about: dict[str, str]
) -> list[Finding]:
    """One finding a check; the first line of a check's docstring is what it is called.

    subject: the class or metric; looked_at: what the checks take. about: the subject's method that a check looks at, by
    the check's name.
    """
    findings = []
    for each in checks:
        title = str(inspect.getdoc(each)).splitlines()[0].rstrip(".")
        try:
            tried = each(looked_at)
            findings.append(Finding(kind, subject.name, title, "passed", tried or ""))
        except Skip as reason:
            findings.append(Finding(kind, subject.name, title, "skipped", str(reason)))
        except (Exception, SystemExit) as error:
            message = told(error, subject, about.get(each.__name__, ""))
            findings.append(Finding(kind, subject.name, title, "failed", message))
            if isinstance(error, Fatal):
                break
    return findings


def told(error: BaseException, subject: Any, method: str = "") -> str:
    """What a check found, or an error of the subject's own code, with the subject's line.

    That is the last line of its own that was at work; else where the method, or the whole, is defined.
    """
    says = str(error) if isinstance(error, Fault | PluginError) else said(error)
    if isinstance(error, Fatal | PluginError):  # which say where
        return says
    file = file_of(subject)
    frames = own_frames(error, [file] if file is not None else [])
    if frames:
        return f"{says} ({place(frames[-1])}, in {frames[-1].name})"
    own = getattr(subject, method, None) if method else None
    where = line_of(own if own is not None and file_of(own) == file else subject)
    return f"{says} ({where})" if where else says


def grouped(findings: Iterable[Finding]) -> dict[Finding, list[str]]:
    """The findings that say the same of one subject as one, each with the titles of its checks."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for each in findings:
        groups.setdefault((each.status, each.kind, each.name, each.message), []).append(each)
    return {same[0]: [each.check for each in same] for same in groups.values()}


def require(condition: Any, fault: str) -> None:
    """Raise `Fault` unless the condition holds."""
    if not condition:
        raise Fault(fault)
