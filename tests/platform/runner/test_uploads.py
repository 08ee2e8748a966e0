"""Rows 30 and 31 of the threat table: what is taken into a service's folder, and what is refused whole."""

from __future__ import annotations

import asyncio
import io
import resource
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runner_stage import a_service, a_stage, pieces

from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner.archives import unpack
from voltagora.platform.runner.files import disk_path

Member = tuple[str, dict[str, object]]


def a_tar(*members: Member, mode: str = "w:gz") -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode=mode) as archive:  # type: ignore[call-overload]
        for name, more in members:
            member = tarfile.TarInfo(name)
            content = more.pop("content", b"x")
            for key, value in more.items():
                setattr(member, key, value)
            member.size = len(content) if member.isreg() else 0  # type: ignore[arg-type]
            archive.addfile(member, io.BytesIO(content))  # type: ignore[arg-type]
    return written.getvalue()


def a_zip(*members: tuple[str, int], content: bytes = b"x") -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return written.getvalue()


GOOD: Member = ("good.py", {})


def hostile_tar(name: str, **more: object) -> Callable[[], bytes]:
    return lambda: a_tar(("good.py", {}), (name, dict(more)))


def hostile_zip(name: str, mode: int = stat.S_IFREG | 0o644) -> Callable[[], bytes]:
    return lambda: a_zip(("good.py", stat.S_IFREG | 0o644), (name, mode))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "climbs.tgz": hostile_tar("../../etc/cron.d/x"),
    "climbs inside.tgz": hostile_tar("a/../../x"),
    "absolute.tgz": hostile_tar("/etc/cron.d/x"),
    "symlink.tgz": hostile_tar("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link.tgz": hostile_tar("link", type=tarfile.LNKTYPE, linkname="../../x"),
    "character device.tgz": hostile_tar("dev", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "block device.tgz": hostile_tar("dev", type=tarfile.BLKTYPE),
    "pipe.tgz": hostile_tar("pipe", type=tarfile.FIFOTYPE),
    "long name.tgz": hostile_tar("n" * 4_096),
    "long part.tgz": hostile_tar("n" * 250),
    "deep.tgz": hostile_tar("/".join("d" * 40)),
    "case clash.tgz": hostile_tar("Good.py"),
    "twice.tgz": hostile_tar("good.py"),
    "clash once cleaned.tgz": hostile_tar("good?.py"),
    "file under a file.tgz": hostile_tar("good.py/x"),
    "backslash.tgz": hostile_tar("..\\..\\x"),
    "drive.tgz": hostile_tar("C:x"),
    "newline.tgz": hostile_tar("a\nb"),
    "right to left.tgz": hostile_tar("a\u202eyp.txt"),
    "folder that climbs.tgz": hostile_tar("../d", type=tarfile.DIRTYPE),
    "nothing left of it.tgz": hostile_tar("???"),
    "empty.tgz": lambda: a_tar(),
    "cut.tgz": lambda: a_tar(("a.py", {"content": b"x" * 9_999}), mode="w")[:700],
    "none.tar": lambda: b"not an archive at all",
    "climbs.zip": hostile_zip("../../etc/cron.d/x"),
    "absolute.zip": hostile_zip("/etc/cron.d/x"),
    "symlink.zip": hostile_zip("link", stat.S_IFLNK | 0o777),
    "device.zip": hostile_zip("dev", stat.S_IFCHR | 0o666),
    "case clash.zip": hostile_zip("GOOD.PY"),
    "cut.zip": lambda: hostile_zip("x")()[:-30],
    "encrypted.zip": lambda: _with_flag(hostile_zip("x")()),
}


def _with_flag(archive: bytes) -> bytes:
    at = archive.rindex(b"PK\x01\x02")
    return archive[: at + 8] + b"\x01\x00" + archive[at + 10 :]


@pytest.mark.parametrize("name", HOSTILE)
def test_row_30_a_hostile_archive_is_refused_whole(data: Path, name: str) -> None:
    content = HOSTILE[name]()
    before = _everything(data.parent)

    async def play() -> tuple[str, ...]:
        async with a_stage(data) as stage:
            service = a_service("row 30", 30)
            with pytest.raises(Refusal):
                await stage.runner.upload(service, name, pieces(content))
            return await stage.runner.files(service)

    assert asyncio.run(play()) == ()
    assert [path for path in _everything(data.parent) - before if path.is_file()] == []


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/cron.d/x", "/etc/passwd", "a/../b", "..", ".", "", "a\0b", "a\\b", "n" * 4_096),
        *("C:\\x", "a\nb", "\u202e", "...", "-", "a/" * 30 + "b"),
    ],
)
def test_row_30_a_name_that_climbs_or_hides_is_refused(data: Path, name: str) -> None:
    async def play() -> tuple[str, ...]:
        async with a_stage(data) as stage:
            with pytest.raises(Refusal, match="Not a valid file name"):
                await stage.runner.upload(a_service("row 30", 30), name, pieces(b"x"))
            return await stage.runner.files(a_service("row 30", 30))

    assert asyncio.run(play()) == ()


def test_row_30_a_dockerfile_that_is_a_folder_is_no_dockerfile(data: Path) -> None:
    async def play() -> None:
        async with a_stage(data) as stage:
            service = a_service("dockerfile folder", 31)
            await stage.runner.upload(service, "a.tgz", pieces(a_tar(("Dockerfile/x", {}))))
            with pytest.raises(Refusal, match="Cannot locate specified Dockerfile: Dockerfile"):
                await stage.runner.build(service)
            with pytest.raises(Refusal, match="would replace a folder"):
                await stage.runner.upload(service, "Dockerfile", pieces(b"FROM python:3"))

    asyncio.run(play())


def test_names_on_disk_do_not_collide(data: Path) -> None:
    async def play() -> tuple[str, ...]:
        async with a_stage(data) as stage:
            service = a_service("collide", 32)
            await stage.runner.upload(service, "my file (1).py", pieces(b"first"))
            await stage.runner.upload(service, "my file (1).py", pieces(b"again"))
            for other in ("my_file_1.py", "my file 1.py", "My File (1).py"):
                with pytest.raises(Refusal, match="would replace"):
                    await stage.runner.upload(service, other, pieces(b"other"))
            assert (data / "services/collide/files/my_file_1.py").read_bytes() == b"again"
            await stage.runner.remove_file(service, "my_file_1.py")
            await stage.runner.upload(service, "my_file_1.py", pieces(b"other"))
            return await stage.runner.files(service)

    assert asyncio.run(play()) == ("my_file_1.py",)


def test_an_archive_is_unpacked_without_its_outer_folder_and_copies_leave_logs_out(data: Path) -> None:
    packed = a_tar(
        ("svc", {"type": tarfile.DIRTYPE}), ("svc/Dockerfile", {}), ("svc/svc/a.py", {}), ("svc/x.log.1", {})
    )

    async def play() -> None:
        async with a_stage(data) as stage:
            source, target = a_service("source", 33), a_service("target", 34)
            await stage.runner.upload(source, "svc.tar.gz", pieces(packed[:99], packed[99:]))
            assert await stage.runner.files(source) == ("Dockerfile", "svc/a.py", "x.log.1")
            await stage.runner.copy_files(source, target)
            assert await stage.runner.files(target) == ("Dockerfile", "svc/a.py")
            await stage.runner.remove(target)
            assert not (data / "services" / "target").exists()

    asyncio.run(play())


def _tar_gz_of_zeros(size: int) -> bytes:
    """One entry of zeros, made without ever holding it."""
    member = tarfile.TarInfo("zeros")
    member.size = size
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(member.tobuf())]
    piece = bytes(1_000_000)
    parts += [packer.compress(piece) for _ in range(size // len(piece) + 1)]
    return b"".join([*parts, packer.flush()])


def many_empty_files() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(
        [*(packer.compress(tarfile.TarInfo(f"f{n}").tobuf()) for n in range(3_000)), packer.flush()]
    )


def overlapping_zip() -> bytes:
    """The kind of 42.zip's successors: a thousand names for the same compressed bytes."""
    archive = a_zip(("kernel", stat.S_IFREG), content=bytes(10_000_000))
    at = archive.index(b"PK\x01\x02")
    local, central = archive[:at], archive[at : archive.index(b"PK\x05\x06")]
    entries = b"".join(central[:46] + b"k%05d" % n + central[52:] for n in range(900))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 900, 900, len(entries), len(local), 0)
    return local + entries + end


def zip_with_a_long_directory() -> bytes:
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *([0] * 16))
    entries = entry * 1_000_000
    return entries + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, len(entries), 0, 0)


def tar_with_a_long_header() -> bytes:
    member = tarfile.TarInfo("name")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 400_000_000
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(member.tobuf()), *(packer.compress(bytes(1_000_000)) for _ in range(100))]
    return b"".join([*parts, packer.flush()])


BOMBS = {
    "zeros.tgz": lambda: _tar_gz_of_zeros(300_000_000),
    "many.tgz": many_empty_files,
    "header.tgz": tar_with_a_long_header,
    "zeros.zip": lambda: a_zip(("zeros", stat.S_IFREG), content=bytes(100_000_000)),
    "overlap.zip": overlapping_zip,
    "directory.zip": zip_with_a_long_directory,
    "many.zip": lambda: a_zip(*((f"f{n}", stat.S_IFREG) for n in range(1_001))),
}


@pytest.mark.parametrize("name", BOMBS)
def test_row_31_a_bomb_is_refused_while_it_inflates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("voltagora.platform.runner.archives.MOST_FILES", 1_000)
    archive, target = tmp_path / name, tmp_path / "target"
    archive.write_bytes(BOMBS[name]())
    target.mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(Refusal, match=r"inflates|more than|overlap|too long|one file"):
        unpack(archive, target)

    written = sum(path.stat().st_size for path in target.rglob("*"))
    assert written < 210 * (archive.stat().st_size + 4_000_000)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 64 * 1024


def test_row_31_an_upload_that_never_ends_is_cut_off(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voltagora.platform.runner.runner.MOST_UPLOAD_BYTES", 1_000)

    async def play() -> None:
        async with a_stage(data) as stage:
            with pytest.raises(Refusal, match="Longer than"):
                await stage.runner.upload(a_service("long", 35), "x", pieces(*([b"x" * 300] * 9)))
            assert list((data / "services" / "long").glob("incoming*")) == []

    asyncio.run(play())


@given(st.text(max_size=60))
def test_a_path_on_disk_stays_in_its_folder(name: str) -> None:
    try:
        path = disk_path(name)
    except Refusal:
        return
    assert not path.is_absolute()
    for part in path.parts:
        assert part not in ("..", ".")
        assert all(
            each.isalnum() or each in "-_." or each.isidentifier() or f"a{each}".isidentifier()
            for each in part
        )


def _everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))
