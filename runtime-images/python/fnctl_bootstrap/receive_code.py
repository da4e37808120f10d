"""`PUT code` in a pod: a layer's tar, checked while it is unpacked into a draft, which becomes the code folder only when its digest is the
one that was promised. A thread unpacks; a short queue lies between it and the event loop."""

import asyncio
import hashlib
import os
import queue
import shutil
import tarfile
from typing import Any

_ROOT = ("function", "function/code")
_QUEUE_CHUNKS = 16


class CodeRefused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def receive_code(receive: Any, digest: str, code_folder: str, max_bytes: int) -> None:
    """Returns when the code is in place. `max_bytes`: of the whole tar. Leaves nothing of a refused one."""
    draft = os.path.join(os.path.dirname(code_folder), ".draft")
    feed = _Feed()
    try:
        os.mkdir(draft)
        unpacking = asyncio.create_task(asyncio.to_thread(_unpack, feed, draft))
        try:
            found = await _pump(receive, feed, unpacking, max_bytes)
        finally:
            feed.end()
        await unpacking
        if found != digest:
            raise CodeRefused(422, "The code has another digest than was promised.")
        os.rename(draft, code_folder)
    except Exception as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise error if isinstance(error, CodeRefused) else CodeRefused(422, f"The code is no whole tar: {error}") from error


async def _pump(receive: Any, feed: "_Feed", unpacking: asyncio.Task[None], max_bytes: int) -> str:
    total = 0
    hashed = hashlib.sha256()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CodeRefused(422, "The code was cut off.")
        chunk = message.get("body", b"")
        total += len(chunk)
        if total > max_bytes:
            raise CodeRefused(413, f"The code is larger than {max_bytes} bytes.")
        hashed.update(chunk)
        while chunk and not unpacking.done() and not feed.offer(chunk):
            await asyncio.sleep(0.001)
        if unpacking.done():
            await unpacking  # raises what it refused; else the padding behind the archive's end is left
        if not message.get("more_body", False):
            return f"sha256:{hashed.hexdigest()}"


class _Feed:
    """A file to read from, filled from another thread."""

    def __init__(self) -> None:
        self._chunks: queue.Queue[bytes] = queue.Queue()
        self._rest = b""
        self._ended = False

    def offer(self, chunk: bytes) -> bool:
        if self._chunks.qsize() >= _QUEUE_CHUNKS:
            return False
        self._chunks.put(chunk)
        return True

    def end(self) -> None:
        self._chunks.put(b"")

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and not self._ended:
            chunk = self._chunks.get()
            self._ended = chunk == b""
            self._rest += chunk
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def _unpack(feed: _Feed, draft: str) -> None:
    # The buffer is one block: tarfile would otherwise wait for a larger one than the archive's last.
    with tarfile.open(fileobj=feed, mode="r|", bufsize=512) as archive:
        for entry in archive:
            place = _place_of(entry, draft)
            if entry.isdir():
                if place != draft:
                    os.mkdir(place, 0o755)
                continue
            source = archive.extractfile(entry)
            mode = 0o755 if entry.mode & 0o111 else 0o644
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                shutil.copyfileobj(source, file, 256 * 1024)  # type: ignore[arg-type]
                if file.tell() != entry.size:
                    raise CodeRefused(422, "The code was cut off.")


def _place_of(entry: tarfile.TarInfo, draft: str) -> str:
    """The platform's own images hold nothing else, so anything else is a mistake or an attack."""
    name = entry.name
    if not (entry.isreg() or entry.isdir()) or entry.issparse():
        raise CodeRefused(422, f"The code holds an entry of type {entry.type!r}.")
    if entry.isdir() and name in _ROOT:
        return draft
    parts = name.split("/")
    unclean = any(part in ("", ".", "..") for part in parts) or any(ord(char) < 32 or char in "\x7f\\" for char in name)
    if unclean or parts[:2] != ["function", "code"] or len(parts) < 3:
        raise CodeRefused(422, "The code holds a path outside its folder.")
    return os.path.join(draft, *parts[2:])
