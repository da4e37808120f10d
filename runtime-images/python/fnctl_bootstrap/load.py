"""Imports the user's module and makes one ASGI app of what it defines. Knows nothing of sockets, so that a snapshot can be taken before listening."""

import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys
import time
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any, NamedTuple

from .handler_kind import find_handler
from .lifespan import start_lifespan
from .protocol import IMPORT_ROOTS_FILE, PACKAGES_FOLDER
from .proxy_variables import proxy_variables
from .serve_lambda import lambda_app

# Parts of this bootstrap that a function may bring along in another version.
_OURS = ("a2wsgi", "click", "h11", "httptools", "uvicorn", "uvloop")


class Loaded(NamedTuple):
    kind: str
    import_ms: float
    app: Any
    lifespan: Any


async def load_function(init: dict[str, Any], code_folder: str) -> Loaded:
    """Raises whatever the user's module raises."""
    own = {"FNCTL_TENANT": init["tenant"], "FNCTL_FUNCTION": init["function"], "FNCTL_VERSION": str(init["version"])}
    os.environ.update(proxy_variables(init.get("egress")) | init["env"] | own)
    file = PurePosixPath(init["entry"]["file"])
    os.chdir(code_folder)  # it was not there when the process started
    roots = _import_roots(code_folder)
    _prepare_path(code_folder, file, roots)
    started = time.perf_counter()
    module = _import_file(code_folder, file, roots)
    kind, handler = find_handler(module, init["entry"].get("name"))
    lifespan = await start_lifespan(handler) if kind == "asgi" else None
    import_ms = (time.perf_counter() - started) * 1000
    return Loaded(kind, import_ms, _to_asgi(kind, handler, init), lifespan)


def _import_roots(code_folder: str) -> list[str]:
    try:
        with open(os.path.join(code_folder, IMPORT_ROOTS_FILE), encoding="utf-8") as lines:
            return list(json.load(lines))
    except FileNotFoundError:
        return []


def _prepare_path(code_folder: str, file: PurePosixPath, roots: list[str]) -> None:
    """The source's root, the entry's own folder (both ways of importing a neighbour work), what the build found to be packages, installed ones."""
    own = [os.path.join(code_folder, folder) for folder in (".", file.parent, *roots, PACKAGES_FOLDER)]
    sys.path[:0] = [path for path in dict.fromkeys(os.path.normpath(path) for path in own) if os.path.isdir(path)]
    importlib.invalidate_caches()
    for name in _OURS:
        if name in sys.modules and importlib.machinery.PathFinder.find_spec(name, own) is not None:
            for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
                del sys.modules[loaded]


def _import_file(code_folder: str, file: PurePosixPath, roots: list[str]) -> ModuleType:
    """A module of a package under the name by which its package imports it, so that none is there twice."""
    packaged = [root for root in roots if file.is_relative_to(root) and _in_package(code_folder, root, file)]
    parts = file.relative_to(max(packaged, key=len, default="")).with_suffix("").parts
    if all("." not in part for part in parts):
        return importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts))
    spec = importlib.util.spec_from_file_location("function_main", os.path.join(code_folder, file))
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _in_package(code_folder: str, root: str, file: PurePosixPath) -> bool:
    first, *rest = file.relative_to(root).parts
    return bool(rest) and os.path.isfile(os.path.join(code_folder, root, first, "__init__.py"))


def _to_asgi(kind: str, handler: Any, init: dict[str, Any]) -> Any:
    concurrency = init["limits"]["concurrency"]
    if kind == "wsgi":
        from .serve_wsgi import wsgi_app

        return wsgi_app(handler, concurrency)
    if kind == "lambda":
        return lambda_app(handler, init["function"], str(init["version"]), init["limits"]["memoryMib"], concurrency)
    return handler
