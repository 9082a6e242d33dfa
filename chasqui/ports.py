"""Which of our ports are taken, and by whom, as far as this machine tells."""

import socket
from collections.abc import Iterable
from pathlib import Path

_LISTEN = "0A"
_PROC = Path("/proc")


def taken(host: str, ports: Iterable[int]) -> list[int]:
    """Return the ports on which nothing of ours could listen now."""
    return [port for port in ports if port and not _is_free(host, port)]


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do, so that a port whose last connections are just closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def holder(port: int, proc: Path = _PROC) -> str:
    """Return ``name (pid)`` of the process that listens on a port, or empty if unknown.

    Args:
        proc: where the kernel tells about processes; on other systems than Linux it does not.
    """
    inodes = _listening_inodes(port, proc)
    if not inodes:
        return ""
    for process in proc.glob("[0-9]*"):
        if _holds(process, inodes):
            return f"{_name(process)} ({process.name})"
    return ""


def _listening_inodes(port: int, proc: Path) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes


def _holds(process: Path, inodes: set[str]) -> bool:
    try:
        return any(str(link.readlink()) in inodes for link in (process / "fd").iterdir())
    except OSError:
        return False  # Another user's process, or one that has just ended.


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "?"
