"""uvicorn with uvloop and httptools on the instance's socket. A bound socket is what the platform takes for "idle"."""

import logging
from typing import Any

import uvicorn

from .end_on_sigterm import end
from .instance import Instance
from .pod import PodSettings

# The only peer is ingress, which owns the idle connections: closing one from here would race with its next request.
_NEVER_SECONDS = 10 * 365 * 86_400


class SandboxConfig(uvicorn.Config):
    def __init__(self, instance: Instance, at: str | PodSettings) -> None:
        where = {"uds": at} if isinstance(at, str) else {"host": "0.0.0.0", "port": at.port}
        super().__init__(
            instance, **where, loop="uvloop", http="httptools", ws="none", interface="asgi3", lifespan="off",
            log_config=None, access_log=False, proxy_headers=False, server_header=False, timeout_keep_alive=_NEVER_SECONDS,
        )  # fmt: skip
        self._pod = None if isinstance(at, str) else at

    def load(self) -> None:
        super().load()
        # Not uvicorn's own settings: those take files only, and allow TLS 1.2.
        self.ssl = None if self._pod is None else self._pod.ssl_context()


class SandboxServer(uvicorn.Server):
    def __init__(self, config: SandboxConfig, instance: Instance) -> None:
        super().__init__(config)
        self._instance = instance

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Before it serves there is nothing to wait for, and code that is being loaded may never return to the event loop."""
        if not self._instance.is_ready:
            end()
        super().handle_exit(sig, frame)


def serve(instance: Instance, at: str | PodSettings) -> None:
    """Returns after SIGTERM, when the running requests have ended and the app's own shutdown ran."""
    # Errors of the function are logged by the instance; what is left of uvicorn's own log is of no use to the function's owner.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    server = SandboxServer(SandboxConfig(instance, at), instance)

    def adopt(lifespan) -> None:
        # Connections made before hold the old dict, later ones read the new lifespan's.
        server.lifespan.state.update(lifespan.state)
        server.lifespan = lifespan

    instance.on_lifespan = adopt
    server.run()
