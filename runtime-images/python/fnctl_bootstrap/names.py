"""Starts the program that resolves names which lead out of the sandbox (base/names.pl), before anybody waits for it.

It stays, whatever the version's rules: its tenant may allow a name at any time, and what is refused shall be told.
"""

import os
from collections.abc import Callable

from .protocol import EGRESS_SOCKET_PATH, NAMES_PROGRAM

# Its input: it ends with this process, and the program with it.
_inputs: list[int] = []


def start_names() -> Callable[[], None]:
    """The result is called once, at init, and returns when names are resolved. Where the sandbox has no way out, nothing is started."""
    if not os.path.exists(EGRESS_SOCKET_PATH):
        return lambda: None
    (theirs, ours), (ready, says) = os.pipe(), os.pipe()
    ends = [(os.POSIX_SPAWN_DUP2, theirs, 0), (os.POSIX_SPAWN_DUP2, says, 1)]
    os.posix_spawn("/usr/bin/perl", ["perl", NAMES_PROGRAM, EGRESS_SOCKET_PATH], {}, file_actions=ends)
    os.close(theirs)
    os.close(says)
    _inputs.append(ours)

    def wait() -> None:
        os.read(ready, 16)
        os.close(ready)

    return wait
