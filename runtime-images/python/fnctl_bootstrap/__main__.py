"""Start of the Python runtime inside a sandbox. Paths differ only where it runs outside one (tests, `fnctl dev`)."""

from . import end_on_sigterm  # noqa: F401, I001 - before anything else

import os  # noqa: E402

from .log_capture import capture_output
from .protocol import CODE_FOLDER, SOCKET_PATH

output = capture_output()

from . import warm  # noqa: E402, F401 - imports for later use, now that nobody waits
from .instance import Instance  # noqa: E402
from .names import Names  # noqa: E402
from .pod import take_pod_settings  # noqa: E402
from .server import serve  # noqa: E402

pod = take_pod_settings()
instance = Instance(os.environ.get("FNCTL_CODE", CODE_FOLDER), output, None if pod is None else pod.code_bytes, Names(pod and pod.egress))
serve(instance, os.environ.get("FNCTL_SOCKET", SOCKET_PATH) if pod is None else pod)
