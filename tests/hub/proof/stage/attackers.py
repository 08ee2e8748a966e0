"""Clients of bad will, in a process of their own: python attackers.py PORT KIND NUMBER.

Prints a line when it has done its worst, and holds it until its standard input is closed.
"""

from __future__ import annotations

import contextlib
import resource
import socket
import sys

from raw_client import V3, Wish, connect_packet, publish_packet, subscribe_packet

HALF = connect_packet("half", user="somebody", password="something")[:-5]


def line(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 30)


def half_open(port: int, number: int) -> list[socket.socket]:
    """Lines on which half a CONNECT was said."""
    lines = []
    for _ in range(number):
        each = line(port)
        with contextlib.suppress(OSError):
            each.send(HALF)
        lines.append(each)
    return lines


def connects(port: int, number: int) -> list[socket.socket]:
    """CONNECT after CONNECT, each with a session and a subscription, and gone without a word."""
    for count in range(number):
        with line(port) as each, contextlib.suppress(OSError):
            each.send(connect_packet(f"flood{count}", version=V3))
            each.send(subscribe_packet([Wish(f"flood/{count}/#", 1)], version=V3))
    return []


def slow_senders(port: int, number: int) -> list[socket.socket]:
    """Large packets that come byte by byte, all at the same time."""
    lines = [line(port) for _ in range(number)]
    whole = connect_packet("slow") + publish_packet("slow", bytes(200_000))[:5_000]
    for at in range(0, len(whole), 50):
        for each in lines:
            with contextlib.suppress(OSError):
                each.send(whole[at : at + 50])
    return lines


def never_reads(port: int, number: int) -> list[socket.socket]:
    """One that subscribes and never reads, and one that publishes all it can."""
    deaf, mouth = line(port), line(port)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(connect_packet("deaf") + subscribe_packet([Wish("flood/#")]))
    mouth.sendall(connect_packet("mouth"))
    for _ in range(number):
        mouth.sendall(publish_packet("flood/x", bytes(10_000)))
    return [deaf, mouth]


def noise(port: int, number: int) -> list[socket.socket]:
    """Lines that say what is no MQTT."""
    for count in range(number):
        with line(port) as each, contextlib.suppress(OSError):
            each.sendall(bytes((count * 7 + at * 13) % 256 for at in range(200)))
            each.recv(100)
    return []


KINDS = {each.__name__: each for each in (half_open, connects, slow_senders, never_reads, noise)}

if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kept = KINDS[sys.argv[2]](int(sys.argv[1]), int(sys.argv[3]))
    sys.stdout.write("done\n")
    sys.stdout.flush()
    sys.stdin.read()
    for each in kept:
        each.close()
