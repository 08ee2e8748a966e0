"""The sandbox itself: how bubblewrap is called, and what its root looks like before it is.

Inside there are the system's programs (read only), a Python, the service's files, and nothing else:
own user, process, mount, network, IPC, host-name and cgroup namespaces, no capabilities, no terminal.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from voltagora.platform.runner.orders import BROKER_PORT, MIB, PROXY_PORT, Mount, Order

INSIDE: Final = "/.voltagora"
"""Where the sandbox's own small files are mounted."""
SYSTEM_FOLDERS: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
RESERVED: Final = frozenset((*SYSTEM_FOLDERS, "usr", "etc", "proc", "dev", "sys", "venv", INSIDE.strip("/")))
"""Names at the top of the root that a service cannot put its files under."""
_ETC: Final = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "timezone"),
    *("ssl/certs", "ssl/openssl.cnf", "pki", "ca-certificates", "mime.types", "services", "protocols"),
)
_SHARED_MEMORY_BYTES: Final = 64 * MIB
_USER: Final = 1000
_CLONE_NEWNS: Final = 0x00020000
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MS_SLAVE: Final = 1 << 19


def prepare_root(root: Path) -> None:
    """Put into a root what a system has, before anything of the service has run in it."""
    for name in SYSTEM_FOLDERS:
        there = Path("/", name)
        if there.is_symlink():
            (root / name).symlink_to(there.readlink())
    for name in ("usr", "etc", "proc", "dev", "tmp", INSIDE.strip("/")):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    etc = root / "etc"
    (etc / "passwd").write_text(
        f"service:x:{_USER}:{_USER}::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
    )
    (etc / "group").write_text(f"service:x:{_USER}:\nnogroup:x:65534:\n")
    (etc / "hosts").write_text("127.0.0.1 localhost broker\n::1 localhost\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")


def bubblewrap(mounts: list[Mount]) -> list[str]:
    """Give the options of bubblewrap.

    Args:
        mounts: the root first; sources as this process sees them.
    """
    call = ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]
    call += ["--uid", str(_USER), "--gid", str(_USER), "--hostname", "service"]
    if "--disable-userns" in _abilities():
        call += ["--disable-userns"]
    call += ["--bind", mounts[0].source, "/", "--ro-bind", "/usr", "/usr"]
    for name in SYSTEM_FOLDERS:
        there = Path("/", name)
        if there.is_dir() and not there.is_symlink():
            call += ["--ro-bind", str(there), str(there)]
    for name in _ETC:
        if Path("/etc", name).exists():
            call += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"]
    call += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    call += ["--size", str(_SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm"]  # noqa: S108
    for mount in mounts[1:]:
        call += ["--bind" if mount.writable else "--ro-bind", mount.source, mount.target]
    return [*call, "--chdir", "/"]


def launching(order: Order, way: str, launcher: str) -> list[str]:
    """Give the command that runs inside: the door first, then the service."""
    port = PROXY_PORT if order.index_hosts else BROKER_PORT
    call = [order.interpreter, "-I", "-S", launcher, way, str(port)]
    return [*call, str(order.bounds.processes), order.directory, *order.command]


def mounts_of(order: Order) -> list[Mount]:
    """Give all that is mounted, the root first."""
    launcher = Path(__file__).with_name("launch.py")
    root = Mount(source=order.root, target="/", writable=True)
    own = Mount(source=str(launcher), target=f"{INSIDE}/launch.py")
    return [root, own, *order.mounts]


def stage(mounts: list[Mount]) -> list[Mount]:
    """Bind what is mounted to a place that any user reaches, seen by this process only.

    bubblewrap runs as the service's own user, which cannot walk through the platform's folders. So
    this process takes a mount namespace of its own and shows it just those folders. Needs root.

    Raises:
        OSError: the kernel does not let us.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _must(libc.unshare(_CLONE_NEWNS))
    _must(libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None))
    place = _free_place(mounts)
    _must(libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, b"mode=0755,size=1m"))
    staged = []
    for number, mount in enumerate(mounts):
        target = place / str(number)
        if Path(mount.source).is_dir():
            target.mkdir()
        else:
            target.touch()
        _must(libc.mount(os.fsencode(mount.source), os.fsencode(target), None, _MS_BIND, None))
        staged.append(Mount(source=str(target), target=mount.target, writable=mount.writable))
    return staged


def _free_place(mounts: list[Mount]) -> Path:
    for name in ("/mnt", "/media", "/srv", "/opt"):
        used = any(f"{mount.source}/".startswith(f"{name}/") for mount in mounts)
        if not used and Path(name).is_dir():
            return Path(name)
    raise OSError(None, "none of /mnt, /media, /srv, /opt is free to show folders at")


def _must(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def executable() -> str | None:
    """Give where bubblewrap is, or None."""
    return shutil.which("bwrap")


@cache
def _abilities() -> str:
    found = executable()
    if found is None:
        return ""
    said = subprocess.run([found, "--help"], capture_output=True, text=True, check=False)  # noqa: S603
    return said.stdout + said.stderr


@cache
def why_not() -> str | None:
    """Say why there can be no sandbox here, or None if there can."""
    found = executable()
    if found is None:
        return "bubblewrap (bwrap) is not installed"
    call = [found, "--unshare-all", "--unshare-user", "--die-with-parent", "--uid", str(_USER)]
    call += ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "/bin/true"]
    try:
        said = subprocess.run(call, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap cannot be run: {error}"
    return None if said.returncode == 0 else f"bubblewrap is not permitted: {said.stderr.strip()[:200]}"
