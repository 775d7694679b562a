"""Reference pages, written from the code each time the pages are built: they cannot go stale."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from importlib import import_module
from typing import Any, get_args, get_type_hints

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.models import OptionInfo

from hale.cli.app import app
from hale.methods import METHODS, describe, described, find, type_name
from hale.recipe import SECTIONS, bundled
from hale.train.stages import STAGES, find_stage


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {"cli": command_line(), "methods": methods(), "recipe": recipes()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def command_line() -> str:
    """Return the page of all commands and their options."""
    return "\n".join(["# Command line", "", *_commands()]) + "\n"


def _commands() -> Iterator[str]:
    yield "Every command takes `--help`. Exit status: 0 done, 1 a defect of ours, 2 input or usage"
    yield "refused, 3 a cohort finished with failures, 130 stopped from the keyboard. An error is"
    yield "one line on standard error: what was wrong, and what to do."
    commands = [(str(command.name), command.callback) for command in app.registered_commands]
    for group in app.registered_groups:
        inner: Any = group.typer_instance
        name = inner.info.name
        commands += [
            (f"{name} {c.callback.__name__}", c.callback) for c in inner.registered_commands
        ]
    for words, callback in commands:
        function: Any = callback
        yield f"\n## hale {words}\n"
        yield from _help(inspect.cleandoc(function.__doc__))
        yield "\n| argument or option | default | what it is |\n|---|---|---|"
        hints = get_type_hints(function, include_extras=True)
        for name, parameter in inspect.signature(function).parameters.items():
            yield _parameter(name, *get_args(hints[name])[:2], parameter.default)


def _help(text: str) -> Iterator[str]:
    """Yield a docstring; its examples become a code block."""
    words, _, examples = text.partition("\nExample")
    yield _plain(words)
    if examples:
        lines = [line.strip() for line in examples.splitlines()[1:]]
        yield "\n```bash\n" + "\n".join(filter(None, lines)) + "\n```"


def _parameter(name: str, kind: Any, info: Any, default: Any) -> str:
    """Return the row of an argument or an option, from what typer was told of it."""
    spelt = name.upper()
    if isinstance(info, OptionInfo):
        dashed = name.replace("_", "-")
        flag = f"--{dashed}`, `--no-{dashed}" if kind is bool else f"--{dashed}"
        named = (info.default, *(info.param_decls or ()))  # typer: the first name is a default
        spelt = "`, `".join([word for word in named if isinstance(word, str)] or [flag])
    shown = "required" if default is inspect.Parameter.empty else _shown(default)
    return f"| `{spelt}` | {shown} | {_cell(info.help or '')}{_choices(kind)} |"


def methods() -> str:
    """Return the page of all methods and their hyper-parameters."""
    parts = [
        "# Methods",
        "",
        "A recipe names one in `[method]`; its fields are the keys of that table.",
    ]
    for name in METHODS:
        row = describe(name)
        cls: Any = find(name)
        parts += [f"\n## {name}\n", row["summary"], ""]
        parts += [f"- Learns from: {row['supervision']}.", f"- Reference: {row['reference']}\n"]
        parts += [*_table(cls)]
    parts += ["\n## Pretraining stages\n", "Their recipes are for `hale pretrain`."]
    for name in STAGES:
        cls = find_stage(name)
        row = described(name, cls)
        parts += [f"\n### {name}\n", row["summary"], "", f"- Reference: {row['reference']}\n"]
        parts += [*_table(cls)]
    return "\n".join(parts) + "\n"


def recipes() -> str:
    """Return the page of the keys of a recipe, and of the bundled ones."""
    parts = [
        "# Recipes",
        "",
        "A recipe is one TOML file. It decides everything that decides a result: the cohort, the",
        "preparation, the method, the post-processing, the calibration and the seed. An unknown",
        "key or a value that cannot work is refused by name. `hale recipe NAME` prints one with",
        "every default written out; `--set section.key=value` overrides a key.",
        "\n## Top level\n",
        "| key | type | default | what it is |\n|---|---|---|---|",
        "| `seed` | int | 0 | Of everything random. |",
        "| `pretrained` | str | | Folder of a pretrained encoder that the method starts from. |",
        "| `base` | str | | Folder of a fitted model that the method builds on. |",
    ]
    for section, cls in SECTIONS.items():
        parts += [f"\n## [{section}]\n", *_table(cls)]
    parts += ["\n## [method]\n", "`name` is one of the [methods](methods.md); the other keys are"]
    parts += ["that method's.", "\n## Bundled recipes\n"]
    parts += [f"- `{name}`: {_comment(path.read_text())}" for name, path in bundled().items()]
    return "\n".join(parts) + "\n"


def _table(cls: Any) -> Iterator[str]:
    """Yield one row a field, with the docstring that stands below it in the source."""
    if not fields(cls):
        yield "No settings."
        return
    said = _field_docs(cls)
    yield "| key | type | default | what it is |\n|---|---|---|---|"
    for field in fields(cls):
        kind = type_name(field.type).replace("hale.core.scan.", "")
        words = _cell(said[field.name]) + _choices(field.type)
        yield f"| `{field.name}` | {_cell(kind)} | {_shown(field.default)} | {words} |"


def _field_docs(cls: Any) -> dict[str, str]:
    """Return the string that follows each field of a class, which Python itself drops."""
    module = import_module(cls.__module__)
    tree = ast.parse(inspect.getsource(module))
    body = next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == cls.__name__)
    said = dict.fromkeys((field.name for field in fields(cls)), "")
    for here, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name):
            value = getattr(getattr(after, "value", None), "value", None)
            said[here.target.id] = value if isinstance(value, str) else ""
    return said


def _choices(kind: Any) -> str:
    """Return the values of a closed choice, as they are typed."""
    for part in (kind, *get_args(kind)):  # X | None too
        if isinstance(part, type) and issubclass(part, Enum):
            return " One of " + ", ".join(f"`{choice.value}`" for choice in part) + "."
    return ""


def _shown(value: Any) -> str:
    """Return a default as it is typed; nothing for none."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in (None, ""):
        return ""
    if isinstance(value, tuple):
        value = _listed(value)
    return f"`{value}`"


def _listed(value: Any) -> Any:
    """Return nested tuples as TOML writes them."""
    if isinstance(value, tuple):
        return "[" + ", ".join(str(_listed(item)) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else value


def _cell(text: str) -> str:
    return " ".join(_plain(text).split()).replace("|", "\\|")


def _plain(text: str) -> str:
    """Return text whose stars and angles Markdown leaves alone."""
    return text.replace("*", "\\*").replace("<", "&lt;")


def _comment(text: str) -> str:
    """Return the comment at the head of a recipe."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)
