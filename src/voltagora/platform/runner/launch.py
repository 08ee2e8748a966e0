"""Runs first in every sandbox: opens the door that the relay waits behind, then becomes the service.

The listening socket is handed out of the sandbox through a socket that the keeper left open, so the
network in here needs no way out and no process is left behind to forward anything. This file runs
with the service's own Python, which may be as old as 3.5, and without any of its packages.
"""

import array
import os
import resource
import socket
import sys


def main(arguments: "list[str]") -> None:
    """Open the door, hand it out, wait for the word, become the command."""
    way, port, processes, directory = arguments[:4]
    command = arguments[4:]
    kind, _, where = way.partition(":")
    if kind == "fd":
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=int(where))
    else:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.connect(where)
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("127.0.0.1", int(port)))
    door.listen(32)
    handed = array.array("i", [door.fileno()])
    line.sendmsg([b"d"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
    if line.recv(1) != b"g":
        sys.exit(70)
    line.close()
    door.close()
    # Counted per user namespace, so it can only be set in here.
    resource.setrlimit(resource.RLIMIT_NPROC, (int(processes), int(processes)))
    try:
        os.chdir(directory)
        os.environ.pop("PWD", None)
        os.execvp(command[0], command)  # noqa: S606 - no shell is what we want
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]!r} in {directory!r}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
