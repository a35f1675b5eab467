"""Pictures of concepts from the web: fetched once, kept in a folder, with a reason for each that cannot be had.

Addresses come from other people's files, so they may lead anywhere. A host is resolved once; its address must be a
public one, and that very address is asked. The same holds for every redirect.
"""

import ipaddress
import logging
import socket
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from pydantic import Field
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from cultureclip.engine.atomic import replacing
from cultureclip.engine.progress import progress_bar
from cultureclip.ids import digest
from cultureclip.reading.pictures import ImageError, decode_image
from cultureclip.settings_base import Settings

logger = logging.getLogger(__name__)

BAD_ADDRESS, PRIVATE = "address is not http or https", "address is not public"
UNREACHABLE, TOO_SLOW = "server cannot be reached", "answer takes too long"
TOO_LARGE, CUT_OFF, REDIRECTS = "answer is too large", "answer is cut off", "too many redirects"

_CHUNK = 1 << 16
_REDIRECT = (301, 302, 303, 307, 308)
_OK = 200
_PORTS = {"http": 80, "https": 443}


class PictureSettings(Settings):
    """How pictures are fetched.

    Attributes:
        folder: Folder in which they are kept.
        user_agent: Who asks, with an address at which owners of servers reach you; Wikimedia refuses who does not say.
        timeout_s: Most seconds for one picture, from the first byte of the connection to the last of the answer.
        max_bytes: Largest picture.
        redirects: Most redirects of one address.
        workers: Pictures fetched at once.
        allow_private: Hosts that may have an address that is not public, such as a mirror in your own network.
    """

    folder: str = Field(min_length=1)
    user_agent: str = Field(min_length=1, pattern=r"^[\x20-\x7e]+$")
    timeout_s: float = Field(default=20, gt=0, le=600)
    max_bytes: int = Field(default=20_000_000, ge=1, le=400_000_000)
    redirects: int = Field(default=3, ge=0, le=20)
    workers: int = Field(default=4, ge=1, le=64)
    allow_private: tuple[str, ...] = ()


class _RefusedError(Exception):
    """A picture cannot be had; the message is the reason, one of few."""


@dataclass(frozen=True)
class PictureFetcher:
    """Fetches pictures by address.

    Attributes:
        settings: Limits, and where pictures are kept.
        problems: Addresses without a picture, by reason.
    """

    settings: PictureSettings
    problems: Counter[str] = field(default_factory=Counter)

    def fetch(self, addresses: Iterable[str]) -> dict[str, str]:
        """Return the file of each address's picture; addresses without one are absent, and counted.

        A picture that is there is not fetched again. One that failed is tried again by the next call.
        """
        wanted = list(dict.fromkeys(addresses))
        with ThreadPoolExecutor(self.settings.workers) as pool:
            files = pool.map(self._fetch_one, wanted)
            found = dict(zip(wanted, progress_bar(files, total=len(wanted), desc="fetch pictures"), strict=True))
        return {address: str(file) for address, file in found.items() if file is not None}

    def _fetch_one(self, address: str) -> Path | None:
        name = digest("picture", address)
        file = Path(self.settings.folder) / name[:2] / name
        try:
            if not file.is_file():
                content = self._download(address)
                decode_image(content)
                with replacing(file) as temporary:
                    temporary.write_bytes(content)
        except (_RefusedError, ImageError) as error:
            self.problems[str(error)] += 1
            logger.debug("%s: %s", address[:200], error)
            return None
        return file

    def _download(self, address: str) -> bytes:
        deadline = time.monotonic() + self.settings.timeout_s
        for _ in range(self.settings.redirects + 1):
            answer = self._ask(address, deadline)
            if isinstance(answer, bytes):
                return answer
            address = urljoin(address, answer)
        raise _RefusedError(REDIRECTS)

    def _ask(self, address: str, deadline: float) -> bytes | str:
        """Return what one address answers, or where it redirects to."""
        parts, port = _split(address)
        connection = self._connect(parts, port, deadline - time.monotonic())
        timer = Timer(max(0.0, deadline - time.monotonic()), _cut, [connection])
        try:
            timer.start()  # a socket's own time limit begins again with every byte
            connection.connect()
            host = parts.netloc.rpartition("@")[2]
            headers = {"Host": host, "User-Agent": self.settings.user_agent, "Accept": "image/*"}
            target = urlunsplit(("", "", parts.path or "/", parts.query, ""))
            connection.request("GET", target, headers=headers, preload_content=False, decode_content=False)
            answer = self._read(connection.getresponse())
            if time.monotonic() >= deadline:  # headers that were cut off are the end of headers to the library
                raise _RefusedError(TOO_SLOW)
            return answer
        except (HTTPError, OSError, ValueError) as error:
            late = time.monotonic() >= deadline
            raise _RefusedError(TOO_SLOW if late else UNREACHABLE) from error
        finally:
            timer.cancel()
            connection.close()

    def _connect(self, parts: SplitResult, port: int, seconds: float) -> HTTPConnection:
        """Return an unopened connection to the one address that was checked."""
        if seconds <= 0:
            raise _RefusedError(TOO_SLOW)
        host = parts.hostname or ""
        place = self._resolve(host, port)
        if parts.scheme == "http":
            return HTTPConnection(place, port, timeout=seconds)
        return HTTPSConnection(
            place, port, timeout=seconds, server_hostname=host, assert_hostname=host, cert_reqs="CERT_REQUIRED"
        )

    def _resolve(self, host: str, port: int) -> str:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise _RefusedError(UNREACHABLE) from error
        places = [str(entry[4][0]) for entry in found]
        if host not in self.settings.allow_private and not all(map(_is_public, places)):
            raise _RefusedError(PRIVATE)
        return places[0]

    def _read(self, response: BaseHTTPResponse) -> bytes | str:
        if response.status in _REDIRECT and response.headers.get("Location"):
            return str(response.headers["Location"])
        if response.status != _OK:
            raise _RefusedError(f"server answers {response.status}")
        content = bytearray()
        while part := response.read(_CHUNK, decode_content=False):
            content += part
            if len(content) > self.settings.max_bytes:
                raise _RefusedError(TOO_LARGE)
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) != len(content):
            raise _RefusedError(CUT_OFF)
        return bytes(content)


def _split(address: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise _RefusedError(BAD_ADDRESS) from error
    if parts.scheme not in _PORTS or not parts.hostname or not address.isascii() or any(c.isspace() for c in address):
        raise _RefusedError(BAD_ADDRESS)
    return parts, port


def _is_public(place: str) -> bool:
    found = ipaddress.ip_address(place.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global and not found.is_multicast


def _cut(connection: HTTPConnection) -> None:
    """End a connection that takes too long, whatever it is waiting for."""
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            logger.debug("the connection was closed already")
