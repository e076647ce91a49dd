"""The socket a container listens on: localwhisk binds it, hands it over and holds it until the container is gone."""

import errno
import secrets
import socket

PORTS = (10_000, 30_000)  # below the ports that Linux hands out by itself
BACKLOG = 128


def listen() -> socket.socket:
    """A listening socket on a loopback port that nobody else has.

    While it is held nobody can take the port, whether its container lives or not: what is posted there reaches this
    container or nobody.
    """
    while True:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last holder's connections may linger
        try:
            listener.bind(("127.0.0.1", PORTS[0] + secrets.randbelow(PORTS[1] - PORTS[0])))
            listener.listen(BACKLOG)  # others may have bound the port meanwhile, but only one may listen
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return listener
