"""Opens the socket of a web server."""

import errno
import os
import socket

from sentiment.errors import InputError, one_line


def listen(host: str, port: int, another: str) -> socket.socket:
    """Open a socket that listens on an address of this machine.

    Args:
        host: the address or a host name.
        port: the port; 0: any free port.
        another: a command line with another port, for the error message.

    Raises:
        InputError: the port is taken, this user may not use it, or this machine has no such address.
    """
    option = f"--host {one_line(host, 80)}"
    allowed = "allowed: an address of this machine, 0.0.0.0 for all of them"
    if not host.strip():  # the system would listen on all addresses
        raise InputError(f"--host: is empty; {allowed}")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        temporary = f" ({error.strerror})" if error.errno == socket.EAI_AGAIN else ""
        raise InputError(f"{option}: no such address or host name{temporary}; {allowed}") from None
    except (UnicodeError, ValueError):  # for instance two dots in a row
        raise InputError(f"{option}: not a valid address or host name; {allowed}") from None
    family, _, _, _, address = addresses[0]
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"--port {port}: {reason}; another one: {another}") from None
        if error.errno == errno.EACCES:
            raise InputError(
                f"--port {port}: {reason} (ports below 1024 need a privilege); another one: {another}"
            ) from None
        raise InputError(f"{option}: {reason}; {allowed}") from None
