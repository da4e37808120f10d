"""How the process was told to listen in a pod. Read once and taken out of the environment that user code gets."""

import os
import ssl
import tempfile
from typing import NamedTuple


class PodSettings(NamedTuple):
    port: int
    key: str
    certificate: str
    code_bytes: int
    # `host:port` of the egress proxy; None: there is no way out.
    egress: str | None

    def ssl_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1"])
        # OpenSSL reads files only; this one is gone before any user code could look.
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(f"{self.key}\n{self.certificate}\n")
            file.flush()
            context.load_cert_chain(file.name)
        return context


def take_pod_settings() -> PodSettings | None:
    """None outside pods."""
    names = ("FNCTL_TLS_PORT", "FNCTL_TLS_KEY", "FNCTL_TLS_CERT", "FNCTL_CODE_BYTES", "FNCTL_EGRESS_PROXY")
    port, key, certificate, code_bytes, egress = (os.environ.pop(name, None) for name in names)
    if port is None:
        return None
    if key is None or certificate is None:
        raise SystemExit("A pod's TLS key and certificate are missing.")
    return PodSettings(int(port), key, certificate, int(code_bytes or 0), egress and egress.removeprefix("http://").rstrip("/"))
