"""The socket that a web server of this project listens on."""

import errno
import os
import socket

from sentiment.errors import InputError


def listen(host: str, port: int, another: str) -> socket.socket:
    """A socket that listens on a port (0: any that is free) of an address of this machine.

    Args:
        host: the address, or a name that has one.
        port: the port.
        another: a command line with another port, for the error.

    Raises:
        InputError: the port is taken or not allowed to this user, or this machine has no such address.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except socket.gaierror as error:
        reason = error.strerror
    except (OSError, ValueError) as error:  # ValueError: what cannot be a name
        number = error.errno if isinstance(error, OSError) else None
        reason = os.strerror(number) if number else "no name of a host"
        if number in (errno.EADDRINUSE, errno.EACCES):
            raise InputError(f"--port {port}: {reason}; another one: {another}") from None
    raise InputError(f"--host {host}: {reason}; allowed: an address of this machine, 0.0.0.0 for all of them")
