"""Modules that most functions import: loaded in the idle state, they cost a cold start nothing. Each was weighed by its memory."""

import a2wsgi  # noqa: F401
import concurrent.futures.thread  # noqa: F401
import dataclasses  # noqa: F401
import datetime  # noqa: F401
import decimal  # noqa: F401
import email.message  # noqa: F401
import encodings.idna  # noqa: F401
import enum  # noqa: F401
import hashlib  # noqa: F401
import hmac  # noqa: F401
import http.client  # noqa: F401
import http.cookies  # noqa: F401
import importlib.metadata  # noqa: F401
import ipaddress  # noqa: F401
import json  # noqa: F401
import mimetypes  # noqa: F401
import ssl  # noqa: F401
import tempfile  # noqa: F401
import typing  # noqa: F401
import urllib.parse  # noqa: F401
import uuid  # noqa: F401
import zoneinfo  # noqa: F401
