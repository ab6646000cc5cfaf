"""HTTP as bytes on a socket."""

import contextlib
import json
import re
import socket

from hostile import CLOSED


def status_of(answer):
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else CLOSED


def ask_raw(port, raw, timeout=20.0, half_closed=False):
    """Send bytes on a new connection and read until it is closed, or until one answer is complete.

    `half_closed` ends the sending side: whoever does that counts as gone.
    """
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(raw)
            if half_closed:
                sock.shutdown(socket.SHUT_WR)
        return read_answer(sock)


def read_answer(sock):
    """One answer, or the part of it that came."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        while part := sock.recv(65536):
            answer += part
            head, end, body = answer.partition(b"\r\n\r\n")
            if end and head.startswith(b"HTTP/1.1 100"):  # the answer itself may have come with it
                answer = body
                head, end, body = answer.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if end and length and len(body) >= int(length[1]):
                break
    return answer


def json_of(answer):
    return json.loads(answer.partition(b"\r\n\r\n")[2])
