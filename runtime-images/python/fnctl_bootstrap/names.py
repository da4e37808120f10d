"""Starts the program that resolves names which lead out of the sandbox (base/names.pl), before anybody waits for it.

It stays, whatever the version's rules: its tenant may allow a name at any time, and what is refused shall be told.
"""

import os
from typing import Any

from .protocol import EGRESS_SOCKET_PATH, NAMES_PROGRAM


class Names:
    """`proxy`: in a pod, where the egress proxy is. Where the sandbox has no way out, nothing is started."""

    def __init__(self, proxy: str | None) -> None:
        # Gives lines for the function's log; None: there are none.
        self.lines: int | None = None
        where = proxy or (EGRESS_SOCKET_PATH if os.path.exists(EGRESS_SOCKET_PATH) else None)
        self._is_started = where is not None
        if where is None:
            return
        # Its input ends with this process, and the program with it.
        (theirs, self._input), (self._ready, says), (self.lines, log) = os.pipe(), os.pipe(), os.pipe()
        os.set_blocking(self.lines, False)
        ends = [(os.POSIX_SPAWN_DUP2, theirs, 0), (os.POSIX_SPAWN_DUP2, says, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
        os.posix_spawn("/usr/bin/perl", ["perl", NAMES_PROGRAM, where], {}, file_actions=ends)
        for end in (theirs, says, log):
            os.close(end)

    def begin(self, egress: Any) -> None:
        """Called once, at init, with what `init` says of the way out, by which a pod's egress proxy knows the sandbox; returns when names are resolved."""
        if not self._is_started:
            return
        if egress is not None:
            try:
                os.write(self._input, egress["credential"].encode() + b"\n")
            except BrokenPipeError:  # it is the function's own, which may end it
                pass
        os.read(self._ready, 16)
        os.close(self._ready)
