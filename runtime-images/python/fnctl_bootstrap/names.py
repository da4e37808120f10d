"""Starts the program that resolves names which lead out of the sandbox (base/names.pl), before anybody waits for it.

It stays, whatever the version's rules: its tenant may allow a name at any time, and what is refused shall be told.
"""

import os
from collections.abc import Callable
from typing import Any

from .protocol import EGRESS_SOCKET_PATH, NAMES_PROGRAM

# Called once, at init, with what `init` says of the way out, by which a pod's egress proxy knows the sandbox; returns when names are resolved.
Names = Callable[[Any], None]

# Its input: it ends with this process, and the program with it.
_inputs: list[int] = []


def start_names(proxy: str | None) -> Names:
    """`proxy`: in a pod, where the egress proxy is. Where the sandbox has no way out, nothing is started."""
    where = proxy or (EGRESS_SOCKET_PATH if os.path.exists(EGRESS_SOCKET_PATH) else None)
    if where is None:
        return lambda _egress: None
    (theirs, ours), (ready, says) = os.pipe(), os.pipe()
    ends = [(os.POSIX_SPAWN_DUP2, theirs, 0), (os.POSIX_SPAWN_DUP2, says, 1)]
    os.posix_spawn("/usr/bin/perl", ["perl", NAMES_PROGRAM, where], {}, file_actions=ends)
    os.close(theirs)
    os.close(says)
    _inputs.append(ours)

    def wait(egress: Any) -> None:
        if egress is not None:
            try:
                os.write(ours, egress["credential"].encode() + b"\n")
            except BrokenPipeError:  # it is the function's own, which may end it
                pass
        os.read(ready, 16)
        os.close(ready)

    return wait
