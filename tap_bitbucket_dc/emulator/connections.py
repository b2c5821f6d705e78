"""HTTP/1.1 on connections to 127.0.0.1, each with a thread of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tap_bitbucket_dc.emulator.application import answer
from tap_bitbucket_dc.emulator.exchange import Answer, Request
from tap_bitbucket_dc.emulator.options import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_bitbucket_dc.emulator.faults import Fault
    from tap_bitbucket_dc.emulator.options import Options
    from tap_bitbucket_dc.emulator.traffic import Traffic

POLL = 0.02  # seconds between two checks by the accepting thread of whether to stop
STOP = 5.0  # seconds to wait for the thread of a connection to end


class Server(ThreadingHTTPServer):
    """Accepts connections, gives each a thread of its own, and closes them all when it stops."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, options: Options, traffic: Traffic) -> None:
        self.options = options
        self.traffic = traffic
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._accepting = threading.Thread(target=self.serve_forever, args=[POLL], daemon=True)
        super().__init__((HOST, options.port), Handler)
        if options.ssl_context:  # handshakes wait for clients, so not in the accepting thread
            self.socket = options.ssl_context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def start(self) -> None:
        """Start to accept connections."""
        self._accepting.start()

    def stop(self) -> None:
        """Stop accepting connections, end the open ones, and wait for their threads."""
        self.shutdown()
        self._accepting.join()
        self.server_close()
        for thread, connection in list(self._connections.items()):
            with contextlib.suppress(OSError):  # the client has already closed it
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(STOP)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in the library
        """Start a thread for a connection and, unlike the library, remember both."""
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self._connections[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in the library
        """Serve a connection until it ends."""
        super().process_request_thread(request, client_address)
        del self._connections[threading.current_thread()]

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in the library
        """Print a traceback, unless a client hung up or did not trust the certificate."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Reads the requests on one connection and writes their answers."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024

    def do_GET(self) -> None:
        """Log a request and answer it, whatever its method is."""
        traffic = self.server.traffic
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, time.monotonic())
        self.rfile.read(
            int(headers.get("content-length", 0))
        )  # a body left unread would be taken for the next request
        try:
            traffic.arrived(request)
            self._respond(request, traffic.fault(request))
        finally:
            traffic.answered(request, None)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 - as in the library

    def _respond(self, request: Request, fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        seconds = fault.seconds if fault else None
        if kind == "reset":
            self.server.traffic.answered(request, None)
            self._reset()
        elif kind == "hang":
            self.server.traffic.stopping.wait(seconds)
            self.close_connection = True
        elif fault and kind in {"answer", "redirect"}:
            self._send(request, fault.answer())
        else:
            if kind == "delay":
                self.server.traffic.stopping.wait(seconds)
            true = self._true_answer(request, fault.ask if fault else None)
            if fault and fault.replace and true.body:
                lie = fault.replace(json.loads(true.body))
                true.body = lie if isinstance(lie, bytes) else json.dumps(lie).encode()
            cut = len(true.body) // 2 if kind == "cut" else None
            self._send(request, true, cut=cut, drip=seconds if kind == "drip" else None)

    def _true_answer(self, request: Request, ask: Callable[[str], str] | None) -> Answer:
        """Return what Bitbucket answers to a request, or to the one that ``ask`` makes of it."""
        if ask is None:
            return answer(self.server.options, request)
        asked = dataclasses.replace(request, target=ask(request.target))
        true = answer(self.server.options, asked)
        request.user = asked.user
        return true

    def _send(
        self, request: Request, answer: Answer, *, cut: int | None = None, drip: float | None = None
    ) -> None:
        """Write an answer.

        Args:
            request: The request it answers.
            answer: The answer.
            cut: How many bytes of the body to send before closing the connection; None for all.
            drip: Seconds between two bytes of the body; None to send it at once.
        """
        self.send_response_only(answer.status)
        if "Date" not in answer.headers:
            self.send_header("Date", self.date_time_string())
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:  # noqa: PLR2004 - No Content
            self.send_header("Content-Length", str(len(answer.body)))
        if drip is not None:
            self.end_headers()
            self._drip(answer.body[:-1], drip)
            self.server.traffic.answered(request, answer.status)
            self.wfile.write(answer.body[-1:])
            return
        self.server.traffic.answered(request, answer.status)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:cut])
        self.close_connection |= cut is not None

    def _drip(self, body: bytes, seconds: float) -> None:
        for i in range(len(body)):
            self.wfile.write(body[i : i + 1])
            self.wfile.flush()
            if self.server.traffic.stopping.wait(seconds):
                break

    def _reset(self) -> None:
        """Reset the connection: the client sees ``Connection reset by peer``."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Print nothing: requests are logged in ``Traffic``."""
