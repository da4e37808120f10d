"""Starts the program that resolves names which lead out of the sandbox (base/names.pl), before anybody waits for it."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from .protocol import EGRESS_SOCKET_PATH, NAMES_PROGRAM

# None: there is nothing to reach, and the program ends. It returns when names are resolved.
GiveNames = Callable[[list[dict[str, Any]] | None], None]


def start_names() -> GiveNames:
    """The result is called once, at init. Where the sandbox has no way out, nothing is started."""
    if not os.path.exists(EGRESS_SOCKET_PATH):
        return lambda _allowed: None
    (rules, ours), (ready, says) = os.pipe(), os.pipe()
    ends = [(os.POSIX_SPAWN_DUP2, rules, 0), (os.POSIX_SPAWN_DUP2, says, 1)]
    pid = os.posix_spawn("/usr/bin/perl", ["perl", NAMES_PROGRAM, EGRESS_SOCKET_PATH], {}, file_actions=ends)
    os.close(rules)
    os.close(says)

    def give(allowed: list[dict[str, Any]] | None) -> None:
        if allowed is None:
            os.close(ours)
            os.close(ready)
            asyncio.get_running_loop().call_later(1, _reap, pid)
            return
        lines = "".join(f"{' '.join(map(str, (rule['host'], *rule['ports'])))}\n" for rule in allowed)
        try:
            os.write(ours, f"{lines}\n".encode())
        except OSError:  # it has ended; names are not resolved then, and the function says so
            pass
        os.read(ready, 16)
        os.close(ready)

    return give


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # the function waited for any child of its own
        pass
