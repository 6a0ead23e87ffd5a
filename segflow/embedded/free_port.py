"""Free ports on 127.0.0.1."""

import secrets
import socket

# Below every system's range for outgoing connections (Linux from 32768, others from 49152). A port from that range, as
# binding port 0 gives, could be taken by some client's connection while a killed server is down, or by a client that
# connects to itself while it retries; the server could then not come back on its port.
LOWEST, HIGHEST = 15_000, 32_000


def is_free(port: int) -> bool:
    """Whether the port is free: a server could listen on it now."""
    with socket.socket() as candidate:
        # As servers do, so that a closed connection (TIME_WAIT) is no obstacle.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
            # Binding alone may succeed beside another socket that shares its address. Listening does not.
            candidate.listen()
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """`count` different free ports. Another process may take one before it is used, so the caller must retry."""
    ports: set[int] = set()
    while len(ports) < count:
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        if is_free(port):
            ports.add(port)
    return list(ports)


def accepts_connections(port: int) -> bool:
    """Whether the port is in use: something listens on it."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
