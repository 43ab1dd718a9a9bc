"""Every command of the command line: what its `--help` says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

from disentangle_bench.cli.app import app

from .markdown import block, code, codes, setting, table

PROGRAM = "disentangle-bench"
TYPES = {str: "TEXT", int: "INTEGER", float: "FLOAT", Path: "PATH"}


def page() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    parts = ["# Commands", text(root), "Exit status: 0 done, 1 something failed, 2 a mistake to mend, 130 interrupted."]
    parts.append(options(root, "Before any command"))
    for words, command in walk(root, (PROGRAM,)):
        parts += section(words, command)
    return "\n\n".join(part for part in parts if part) + "\n"


def walk(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group, as `--help` lists them, with the words that call it."""
    for name, command in group.commands.items():
        yield (*words, name), command
        if hasattr(command, "commands"):
            yield from walk(command, (*words, name))


def section(words: tuple[str, ...], command: Any) -> list[str]:
    """A command: its heading, usage, text, arguments and options."""
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    parts = [
        f"{'#' * len(words)} {' '.join(words[1:])}",
        block(" ".join([*words, "[OPTIONS]", *map(placeholder, arguments)]), "text"),
        text(command),
    ]
    if arguments:
        rows = [(code(placeholder(each)), each.help or "") for each in arguments]
        parts.append(table(["argument", "what it is"], rows))
    return [*parts, options(command, "option")]


def text(command: Any) -> str:
    """A command's help; Typer's marks of paragraphs left out."""
    return inspect.cleandoc(command.help or "").replace("\f", "").replace("\b\n", "")


def options(command: Any, title: str) -> str:
    """A table of a command's options."""
    hints = get_type_hints(command.callback)
    rows = [
        (
            codes([*each.opts, *each.secondary_opts]),
            takes(each, hints.get(each.name, bool)),
            default(each),
            each.help or "",
        )
        for each in command.params
        if each.param_type_name == "option" and not each.hidden
    ]
    return table([title, "takes", "default", "what it does"], rows) if rows else ""


def placeholder(argument: Any) -> str:
    """How usage shows an argument: NAME, [NAME], or [NAME]..."""
    if argument.metavar:
        return str(argument.metavar)
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def takes(option: Any, hint: Any) -> str:
    """What follows an option, by its type, and whether it may be repeated."""
    if option.is_flag:
        return ""
    parts = (hint, *get_args(hint))
    types = [TYPES[each] for each in parts if each in TYPES]
    choices = ["|".join(get_args(each)) for each in parts if get_origin(each) is Literal]
    what = code(option.metavar or [*choices, *types][0])
    return f"{what}, repeatable" if option.multiple else what


def default(option: Any) -> str:
    """An option's default; empty where it has none of its own."""
    if option.required:
        return "required"
    if option.is_flag or option.default in (None, [], ()):
        return ""
    return code(option.default if isinstance(option.default, str) else setting(option.default))
