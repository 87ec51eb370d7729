"""Options that several commands share: a dataclass of them stands for one parameter."""

import dataclasses
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, get_type_hints

R = TypeVar("R")


def spread(function: Callable[..., R]) -> Callable[..., R]:
    """The function with its first parameter, a dataclass of typer's options, as options of its own.

    The function's further parameters come first in its help, as they are what is special in it.
    """
    hints = get_type_hints(function, include_extras=True)
    (shared, *own) = inspect.signature(function).parameters.values()
    bundle = hints[shared.name]
    names = [field.name for field in dataclasses.fields(bundle)]

    @wraps(function)
    def spread_out(**options: Any) -> R:
        common = bundle(**{name: options.pop(name) for name in names})
        return function(common, **options)

    found = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
    found += [_parameter(f, bundle) for f in dataclasses.fields(bundle)]
    spread_out.__signature__ = inspect.Signature(found)  # type: ignore[attr-defined]
    spread_out.__annotations__ = {p.name: p.annotation for p in found}
    return spread_out


def _parameter(field: "dataclasses.Field[Any]", bundle: type) -> inspect.Parameter:
    given = field.default is not dataclasses.MISSING
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default if given else inspect.Parameter.empty,
        annotation=get_type_hints(bundle, include_extras=True)[field.name],
    )
