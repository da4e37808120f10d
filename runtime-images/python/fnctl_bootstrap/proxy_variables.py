"""What tells HTTP clients of the proxy on the sandbox's loopback (base/names.pl).

Plain HTTP alone: over TLS some clients do by these variables what no proxy takes (`GET https://`), and names lead out without them.
Loopback is the sandbox's own.
"""

import os

from .protocol import EGRESS_SOCKET_PATH

_PROXY = "http://127.0.0.1:3128"
_LOOPBACK = "localhost,127.0.0.1,::1,127.0.0.0/8"


def proxy_variables(egress: object) -> dict[str, str]:
    """Empty where the sandbox has no way out: no socket, and in a pod no credential."""
    if egress is None and not os.path.exists(EGRESS_SOCKET_PATH):
        return {}
    return {"HTTP_PROXY": _PROXY, "http_proxy": _PROXY, "NO_PROXY": _LOOPBACK, "no_proxy": _LOOPBACK}
