"""Write a file completely or not at all."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path


def replace(target: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file beside ``target``, then rename it. So ``target`` is never half-written."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")  # another process may write the same file
    try:
        write(partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def write_zip(target: Path, files: dict[str, bytes]) -> None:
    """Write `files` (content by name inside the zip) to `target`, replacing it in one step.

    Names are sorted, dates are fixed, and what begins with `#!` may be executed, so the same contents give the same
    bytes whoever packs them, wherever and whenever.
    """

    def write(part: Path) -> None:
        with zipfile.ZipFile(part, "w") as archive:
            for name, content in sorted(files.items()):
                entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                entry.create_system = 3  # Unix, wherever this runs, so that the rights below count
                entry.external_attr = (0o100755 if content.startswith(b"#!") else 0o100644) << 16
                # Weights shrink by a twelfth only, and packing them takes seconds.
                packed = zipfile.ZIP_STORED if name.endswith(".pt") else zipfile.ZIP_DEFLATED
                archive.writestr(entry, content, packed)

    replace(target, write)
