"""Declare options that several commands share once, as the fields of a dataclass."""

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """`command` for typer: replaces each dataclass parameter with the fields of the dataclass.

    The default of a field is its ``typer.Option(...)`` or ``typer.Argument(...)``.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if is_dataclass(hint) and isinstance(hint, type)}
    shown: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name not in groups:
            shown.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        of_group = get_type_hints(groups[name], include_extras=True)
        for field in fields(groups[name]):
            kind, hint = inspect.Parameter.KEYWORD_ONLY, of_group[field.name]
            shown.append(inspect.Parameter(field.name, kind, default=field.default, annotation=hint))

    @wraps(command)
    def with_groups(**values: Any) -> None:
        built = {name: group(**{f.name: values.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        command(**values, **built)

    with_groups.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # typer reads it
    with_groups.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return with_groups
