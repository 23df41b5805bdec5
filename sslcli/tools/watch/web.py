"""Serves the page of one run to browsers on this machine, and nothing else.

It listens on the loopback address alone. Every address begins with a secret word, for other users
of the machine reach its loopback too. Names in an address are looked up among the files that are
shown, never joined to a path.
"""

from __future__ import annotations

import secrets
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from sslcli.errors import SslcliError
from sslcli.tools.watch.page import as_json, page, version_of
from sslcli.tools.watch.sight import Sight, Watched, shown_figures

LOOPBACK = "127.0.0.1"
OWN_NAMES = ("127.0.0.1", "localhost")
"""Names by which a browser may have reached this machine; another is one that a page made up."""
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
PNG = b"\x89PNG\r\n\x1a\n"


class WatchServer(ThreadingHTTPServer):
    """Answers for one run. Raises SslcliError where the port is taken; 0 is any free one."""

    daemon_threads = True

    def __init__(self, watched: Watched, port: int) -> None:
        self.watched = watched
        self.word = secrets.token_urlsafe(12)
        self._looking = threading.Lock()
        try:
            super().__init__((LOOPBACK, port), _Answer)
        except (OSError, OverflowError) as reason:
            why = getattr(reason, "strerror", None) or reason
            raise SslcliError(
                f"port {port} of {LOOPBACK} cannot be used: {why}",
                "--port 0 takes any that is free",
            ) from None

    def server_bind(self) -> None:
        """Binds without asking a name server for this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a browser that went away while it was answered."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/{self.word}/"

    def look(self) -> Sight:
        with self._looking:
            return self.watched.look()


class _Answer(BaseHTTPRequestHandler):
    server: WatchServer
    server_version, sys_version = "sslcli", ""
    timeout = 30

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")
        path, _, query = self.path.partition("?")
        word, *names = unquote(path).removeprefix("/").split("/")
        is_known = secrets.compare_digest(word.encode(), self.server.word.encode())
        if (host[0] or host[2]) not in OWN_NAMES or not is_known or not names:
            self._send(HTTPStatus.NOT_FOUND)
        elif names == [""]:
            self._send(HTTPStatus.OK, page(self.server.look()), "text/html; charset=utf-8")
        elif names == ["values.json"]:
            self._values(query)
        else:
            self._figure("/".join(names))

    def _values(self, known: str) -> None:
        """Sends the values, unless the page has the version of them that is `known`."""
        content = as_json(self.server.look())
        version = version_of(content)
        if version == known:
            self._send(HTTPStatus.NO_CONTENT)
        else:
            self._send(HTTPStatus.OK, content, "application/json", version)

    def _figure(self, name: str) -> None:
        path = shown_figures(self.server.watched.folder).get(name)
        try:
            content = b"" if path is None else path.read_bytes()
        except OSError:  # it was removed meanwhile
            content = b""
        if content.startswith(PNG):
            self._send(HTTPStatus.OK, content, "image/png")
        else:
            self._send(HTTPStatus.NOT_FOUND)

    def _send(
        self, status: HTTPStatus, content: bytes = b"", kind: str = "text/plain", version: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if version:
            self.send_header("X-Version", version)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing: the terminal shows the address alone."""
