"""Unpacks the Python files and the archives that lie in an archive, within limits that hold over all archives.

Nothing is written outside the target folder, links are passed over, and an entry that cannot be read costs no other.
"""

import bz2
import gzip
import re
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LARGEST_FILE = 10 << 20  # bytes of one Python file; zip_submission.py warns of the same limit
ARCHIVE = re.compile(r"\.(zip|tar|tar\.gz|tgz|tar\.bz2)$", re.IGNORECASE)
OTHER_ARCHIVE = re.compile(r"\.(rar|7z|tar\.xz|txz|xz|zst)$", re.IGNORECASE)
PYTHON = re.compile(r"\.py(\.txt)?$", re.IGNORECASE)
_LEFT_OUT = {"__MACOSX", "__pycache__", "node_modules", "site-packages"}
_ZIP_END = b"PK\5\6"


@dataclass
class Allowance:
    """What may still be unpacked. Only Python files and archives count, whatever else lies around them."""

    size: int = 200 << 20
    files: int = 2000
    index: int = 32 << 20  # bytes of the zips' tables of contents, which are read whole
    tars: int = 1 << 30  # bytes of the tars, which are decompressed whole

    def take(self, size: int) -> None:
        """Count one file. Raises `ValueError` when the allowance is used up."""
        self.size -= size
        self.files -= 1
        if self.size < 0 or self.files < 0:
            raise ValueError("too many files or too much data")


def parts_of(name: str) -> tuple[str, ...] | None:
    r"""The folders and the file in a name of either system (`\` separates too); None for what systems leave behind."""
    parts = tuple(part for part in re.split(r"[\\/]", name) if part not in ("", ".", ".."))
    if not parts or any(part in _LEFT_OUT or part.startswith(".") for part in parts):
        return None
    return parts


def unpack(path: Path, target: Path, allowance: Allowance | None = None) -> None:
    """Unpack the Python files and archives in a zip or tar, and nothing else, into `target`. Raises what is wrong."""
    allowance = allowance or Allowance()
    if zipfile.is_zipfile(path):
        _unpack_zip(path, target, allowance)
    elif OTHER_ARCHIVE.search(path.name):
        raise ValueError("only .zip, .tar, .tar.gz and .tar.bz2 can be unpacked")
    else:
        _unpack_tar(path, target, allowance)


def _unpack_zip(path: Path, target: Path, allowance: Allowance) -> None:
    allowance.index -= _index_size(path)
    if allowance.index < 0:
        raise ValueError("too many entries")
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            # Not `is_dir`, which fails on an empty name before Python 3.12.
            parts = None if info.filename.endswith("/") else parts_of(info.filename)
            if parts and wanted(parts[-1]):
                _copy(lambda info=info: archive.open(info), parts, info.file_size, target, allowance)


def _index_size(path: Path) -> int:
    """The size of a zip's table of contents, by which `ZipFile` reads it; more than any limit if it is a zip64."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 22))
        tail = file.read()
    end = tail.rfind(_ZIP_END)
    return struct.unpack_from("<I", tail, end + 12)[0] if end >= 0 else 0


def _unpack_tar(path: Path, target: Path, allowance: Allowance) -> None:
    opened: dict[bytes, Callable] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
    with path.open("rb") as file:
        start = file.read(2)
    # Decompressed first, since `tarfile` reads whatever a header claims into memory.
    with tempfile.TemporaryFile() as plain, opened.get(start, open)(path, "rb") as packed:
        while chunk := packed.read(1 << 20):
            allowance.tars -= len(chunk)
            if allowance.tars < 0:
                raise ValueError("too much data")
            plain.write(chunk)
        plain.seek(0)
        with tarfile.open(fileobj=plain, mode="r:") as archive:
            for member in archive:
                parts = parts_of(member.name) if member.isreg() else None
                if parts and wanted(parts[-1]):
                    _copy(lambda member=member: archive.extractfile(member), parts, member.size, target, allowance)


def wanted(name: str) -> bool:
    """Whether a file of this name may be or hold a submission."""
    return any(pattern.search(name) for pattern in (PYTHON, ARCHIVE))


def _copy(opened, parts: tuple[str, ...], size: int, target: Path, allowance: Allowance) -> None:
    """Write one entry. Of a too large Python file, keep one byte above the limit, so that it is recognised later."""
    size = min(size, LARGEST_FILE + 1) if PYTHON.search(parts[-1]) else size
    allowance.take(size)
    path = target.joinpath(*parts)
    try:
        with opened() as source:
            content = source.read(size)
        if len(content) == size:  # or it was cut short
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except Exception:
        return  # encrypted, damaged, or of a name that cannot be written: the others are graded all the same
