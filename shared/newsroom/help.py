"""The text of `--help`: what the program does, two examples, its own options first, connection and logs last."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import SecretStr

from newsroom.places import short
from newsroom.settings import PREFIX, KafkaSettings, ServiceSettings, variable_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

LIMITS = (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))
WIDEST = 110
"""Columns that a line of text takes at most; longer lines are hard to read."""


def help_text(cls: type[ServiceSettings], program: str) -> str:
    """Return the help of a service: `cls` has its options, its docstring says what the program does."""
    lines = [f"Usage: {program} [OPTION…]", "", *_wrapped((cls.__doc__ or "").split("\n\n")[0], ""), "", "Examples:"]
    for arguments, meaning in cls.EXAMPLES:
        lines += [f"  {program} {arguments}", *_wrapped(meaning, "      ")]
    for title, names in _groups(cls).items():
        lines += ["", f"{title}:"]
        for name in names:
            lines += _option(cls, name)
    return "\n".join([*lines, "", *_wrapped(_closing(cls), "")]) + "\n"


def _groups(cls: type[ServiceSettings]) -> dict[str, list[str]]:
    """The options by who declares them, those of the most derived class first."""
    groups: dict[str, list[str]] = {"Options": [], "Connection": [], "Logs, health and metrics": []}
    titles: dict[type, str] = {KafkaSettings: "Connection", ServiceSettings: "Logs, health and metrics"}
    for owner in cls.__mro__:
        title = titles.get(owner, "Options")
        known = {name for names in groups.values() for name in names}
        declared = (name for name in vars(owner).get("__annotations__", {}) if name in cls.model_fields)
        groups[title] += [name for name in declared if name not in known]
    return groups


def _option(cls: type[ServiceSettings], name: str) -> Iterator[str]:
    field = cls.model_fields[name]
    option = name.replace("_", "-")
    names = [option, *_shortcuts(cls, option)]
    if field.annotation is bool:
        yield "  " + ", ".join(f"--{word}, --no-{word}" for word in names)
    else:
        yield "  " + ", ".join(f"--{word}" for word in names) + f" {_value(name, field)}"
    yield from _wrapped(field.description or "", "      ")
    facts = [*_limits(field), *_default(field), variable_of(cls, name)]
    yield from _wrapped(f"[{'; '.join(facts)}]", "      ")


def _shortcuts(cls: type[ServiceSettings], option: str) -> list[str]:
    shortcuts = (cls.model_config.get("cli_shortcuts") or {}).get(option, [])
    return [shortcuts] if isinstance(shortcuts, str) else list(shortcuts)


def _value(name: str, field: FieldInfo) -> str:
    """What a person writes after the option: choices, a unit, or what the option's name ends with."""
    kinds = [kind for kind in (*get_args(field.annotation), field.annotation) if kind is not type(None)]
    choices = [choice for kind in kinds for choice in (kind, *get_args(kind)) if isinstance(choice, str)]
    if choices:
        return "|".join(dict.fromkeys(choices))
    if kinds[0] in {int, float}:
        unit = (field.description or "").split()[0]
        return unit.upper() if unit in {"seconds", "milliseconds"} else "NUMBER"
    return "PATH" if kinds[0] is Path else name.rpartition("_")[2].upper()


def _limits(field: FieldInfo) -> Iterator[str]:
    for limit in field.metadata:
        for attribute, words in LIMITS:
            if (bound := getattr(limit, attribute, None)) is not None:
                yield f"{words} {bound:g}" if isinstance(bound, float) else f"{words} {bound}"


def _default(field: FieldInfo) -> Iterator[str]:
    default: Any = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, bool):
        yield "default: yes" if default else "default: no"
    elif isinstance(default, float):
        yield f"default: {default:g}"
    elif isinstance(default, Path):
        yield f"default: {short(default)}"
    elif default not in (None, "", ()) and not isinstance(default, SecretStr):
        yield f"default: {default}"


def _closing(cls: type[ServiceSettings]) -> str:
    own = cls.model_config["env_prefix"]
    return (
        "The name in brackets is the option's environment variable; the option wins. "
        f"{PREFIX}X sets a connection or log option for every service, {own}X for this one alone."
    )


def _wrapped(text: str, indent: str) -> list[str]:
    width = min(shutil.get_terminal_size().columns, WIDEST)
    return textwrap.wrap(
        " ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
