"""Constants of runtime protocol v1 (control-plane/src/contract/runtime-protocol.ts; a test compares them)."""

PROTOCOL = 1
RUNTIME = "python3.13"
PREFIX = "/.fnctl/"
HEALTH_PATH = "/.fnctl/v1/health"
INIT_PATH = "/.fnctl/v1/init"
CODE_PATH = "/.fnctl/v1/code"
SETTLED_PATH = "/.fnctl/v1/settled"
CODE_DIGEST_HEADER = b"x-fnctl-diff-id"
SOCKET_PATH = "/run/fn/sock/s"
EGRESS_SOCKET_PATH = "/run/fn/egress/s"
NAMES_PROGRAM = "/opt/fnctl/names.pl"
CODE_FOLDER = "/function/code"
# Where the builder puts installed packages, below the code folder.
PACKAGES_FOLDER = ".fnctl/python"
# A JSON list of further folders below the code folder to look for modules in; absent when there are none.
IMPORT_ROOTS_FILE = ".fnctl/import-roots.json"
REQUEST_ID_HEADER = b"x-request-id"
EXCHANGE_HEADER = b"x-fnctl-exchange"
TIMEOUT_HEADER = b"x-fnctl-timeout-ms"
RECORD_MARK = "\x1e"
LOG_LINE_BYTES = 16 * 1024
