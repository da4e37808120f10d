"""Finds the handler in an imported module and says what kind it is. The rules, in order:

1. the attribute: the configured name, else `app`, `application`, `handler`, `lambda_handler`;
2. a function whose name ends in `handler` is Lambda style `(event, context)`, async or not;
3. a coroutine function, or an object whose class has an async `__call__`, is ASGI (FastAPI, Starlette, Quart, Litestar, Django's ASGIHandler);
4. another callable is ASGI when it takes three positional arguments, WSGI when it takes two (Flask, Bottle, Django's WSGIHandler).
"""

import functools
import inspect
from types import ModuleType
from typing import Any

USUAL_NAMES = ("app", "application", "handler", "lambda_handler")


class NoHandler(Exception):
    """The owner's mistake: there is nothing to call."""


def find_handler(module: ModuleType, name: str | None) -> tuple[str, Any]:
    """`("asgi" | "wsgi" | "lambda", callable)`."""
    for candidate in USUAL_NAMES if name is None else (name,):
        value = getattr(module, candidate, None)
        if callable(value):
            return _kind(value, candidate), value
    if name is not None:
        raise NoHandler(f"{module.__name__} has no callable named {name!r}.")
    public = ", ".join(key for key in vars(module) if not key.startswith("_")) or "nothing"
    raise NoHandler(f"{module.__name__} defines no handler: expected `app` or `handler`; it defines {public}.")


def _kind(value: Any, name: str) -> str:
    target = value
    while isinstance(target, functools.partial):
        target = target.func
    plain = inspect.isroutine(target)
    if plain and name.lower().endswith("handler"):
        return "lambda"
    call = target if plain else getattr(type(target), "__call__", None)
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(call):
        return "asgi"
    count = _positional_count(value)
    if count == 3:
        return "asgi"
    if count == 2:
        return "wsgi"
    raise NoHandler(f"`{name}` is neither an ASGI app (scope, receive, send) nor a WSGI app (environ, start_response).")


def _positional_count(value: Any) -> int | None:
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        # A decorator that passes everything on; Flask's and Django's wrappers are WSGI, async ones were found above.
        return 2
    required = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    return len(required)
