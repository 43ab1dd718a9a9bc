"""What is said of a plugin's own faults: one sentence with the plugin's file and line, and its last frames below.

A fault that is ours keeps its traceback.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from disentangle_bench import registry
from disentangle_bench.blame import frames_of, is_ours, own_frames, place, said, shown, written
from disentangle_bench.errors import PluginError, UserError

T = TypeVar("T")

REMEDIES = {  # by what Python or torch says
    "before Module.__init__() call": "call `super().__init__(config, image_shape)` before anything else",
}


def is_plugin(item: Any) -> bool:
    """Whether a model, a dataset or a metric is none of the suite's own."""
    return str(getattr(item, "compute", item).__module__).partition(".")[0] != "disentangle_bench"


def file_of(item: Any) -> Path | None:
    """The source file of a class or a metric; None where Python doesn't know it."""
    try:
        name = inspect.getsourcefile(getattr(item, "compute", item))
    except TypeError:
        return None
    return Path(name).resolve() if name else None


def plugin_name(item: Any) -> str | None:
    """The name of the file that a plugin's class or metric comes from; None for the suite's own."""
    file = file_of(item) if is_plugin(item) else None
    return file.name if file is not None else None


def line_of(target: Any) -> str:
    """Where a class or a function is defined: `my_model.py:24`; "" where Python doesn't know."""
    file = file_of(target)
    if file is None:
        return ""
    try:
        return f"{shown(file)}:{inspect.getsourcelines(getattr(target, 'compute', target))[1]}"
    except (OSError, TypeError):  # the file is another by now
        return shown(file)


def called(item: Any, method: str = "") -> str:
    """A plugin's class or metric as messages name it: `the model 'my-vae' (my_model.py:24)`.

    method: whose line is named, where the plugin defines it itself.
    """
    kind = getattr(item, "registered_as", "metric")
    name = getattr(item, "name", getattr(item, "__name__", repr(item)))
    own = getattr(item, method, None) if method else None
    where = line_of(own if own is not None and file_of(own) == file_of(item) else item)
    return f"the {kind} '{name}'" + (f" ({where})" if where else "")


def remedy(error: BaseException) -> str:
    """What to do about an error whose words are known; else that it's the plugin's to mend."""
    return next((advice for words, advice in REMEDIES.items() if words in str(error)), "mend it there")


def fault(error: BaseException, what: str = "") -> PluginError | None:
    """The sentence for an error that a plugin's own line raised, with its frames; None where none was at work.

    what: was asked of the plugin, with its name. Where our code failed in turn, its frames are told, too.
    """
    frames = own_frames(error, registry.plugin_files())
    if not frames:
        return None
    whole = frames_of(error)
    after = whole[whole.index(frames[-1]) + 1 :] if frames[-1] in whole else []
    told = [*frames[-1:], *after] if any(is_ours(frame) for frame in after) else frames
    subject = what or f"the plugin {shown(frames[-1].filename)}"
    return PluginError(f"{subject} raised {said(error)}, at {place(frames[-1])}; {remedy(error)}.{written(told)}")


def guarded(item: Any, what: str, function: Callable[..., T], *args: Any, **named: Any) -> T:
    """What a function of a plugin gives; `PluginError` where it raises, but for a `UserError` of its own.

    item: the class or metric whose function it is; of the suite's own ones nothing is caught. what: as messages name
    the function, such as "its constructor".
    """
    if not is_plugin(item):
        return function(*args, **named)
    try:
        return function(*args, **named)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        told = fault(error, f"{called(item)} fails: {what}")
        if told is None and any(is_ours(frame) for frame in frames_of(error)[1:]):  # beneath this function's own frame
            raise
        raise told or PluginError(f"{called(item)} fails: {what} raised {said(error)}; {remedy(error)}.") from error


def cause(error: BaseException) -> str:
    """Why a trial crashed, in a line: the error, and the plugin's own line where it came from one."""
    frames = own_frames(error, registry.plugin_files())
    where = f", at {Path(frames[-1].filename).name}:{frames[-1].lineno}, in {frames[-1].name}" if frames else ""
    return said(error) + where
