"""What a worker gives up before it runs the student's code: privileges, files, memory, time, system calls.

On Linux with Landlock (kernel 5.13 or newer) it can read the system, the Python environment and the student's tree, and
write the latter only, whoever runs the grader. Run by root it also becomes a user that nobody is.
"""

import ctypes
import math
import os
import resource
import signal
import sys
from pathlib import Path

from . import seccomp

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 8, 36, 38
FILE_SIZE = 256 << 20
PROCESSES = 256

# What Python, its libraries and a shell look at, and no more: a worker may have root's right to read (see `confine`).
READABLE = (
    *("/usr", "/lib", "/lib64", "/bin", "/sbin", "/proc"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm"),
    *(
        f"/etc/{name}"
        for name in (
            *("alternatives", "ca-certificates", "debian_version", "fonts", "group", "host.conf", "hostname", "hosts"),
            *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "mime.types", "nsswitch.conf"),
            *("os-release", "passwd", "resolv.conf", "ssl/certs", "ssl/openssl.cnf", "timezone"),
        )
    ),
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWUSER = 0x20000, 0x8000000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
# The rights of linux/landlock.h that version n of it knows are the lowest so many bits.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TCP, _SCOPES = 0b11, 0b11


def prctl(option: int, value: int = 1) -> None:
    """Set one of the process's attributes (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def make_shared_memory_private(size: int) -> None:
    """Give this process and those it will start a /dev/shm of their own, of so many bytes, which ends with them.

    Needs Linux, and either the right to mount or that of every user to make a namespace; where neither is given, as
    in most containers, all stays as it is. To be called between `fork` and `exec`, while there is but one thread.
    """
    if sys.platform != "linux":
        return
    libc, uid, gid = ctypes.CDLL(None), os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNS | _CLONE_NEWIPC):
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS | _CLONE_NEWIPC):
            return
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path("/proc/self", name).write_text(text)
    libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)  # keep these mounts invisible outside
    libc.mount(b"grading", b"/dev/shm", b"tmpfs", 0, f"size={size},mode=1777".encode())


def landlock_version() -> int:
    """Return the version of Landlock that the kernel offers, 0 if none."""
    if sys.platform != "linux":
        return 0
    return max(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1), 0)


def confine(request: dict, uid: int | None, keep_reading: bool, writable: list[str], readable: str) -> None:
    """Set the request's limits, shut this process into its files, and become `uid` if there is one.

    readable: a folder beside `writable` that may only be read.

    keep_reading: the Python environment lies where that user has no access (in root's home, say), so the right to
    read all files is kept; Landlock still narrows it down.
    """
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: request["cpu_seconds"] + math.ceil(request["import_seconds"]),
        resource.RLIMIT_FSIZE: FILE_SIZE,
    }
    if sys.platform == "linux":
        # torch alone maps gigabytes of address space that it never touches, so the limit counts from there.
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = mapped + request["memory_bytes"]
    if uid is not None:
        limits[resource.RLIMIT_NPROC] = PROCESSES
    for what, limit in limits.items():
        resource.setrlimit(what, (allowed(what, limit),) * 2)
    prctl(PR_SET_NO_NEW_PRIVS)
    if landlock_version():
        _shut_in(landlock_version(), writable, readable)
    if uid is not None:
        become(uid, keep_reading)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # set last, since a change of user clears it
    seccomp.refuse_system_calls()


def allowed(what: int, limit: int) -> int:
    """The limit, or a lower one that this process has already and could not raise again."""
    hard = resource.getrlimit(what)[1]
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)


def become(uid: int, keep_reading: bool = False) -> None:
    """Give up root for good."""
    if keep_reading:
        prctl(PR_SET_KEEPCAPS)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    if keep_reading:
        read_search = 1 << 2  # CAP_DAC_READ_SEARCH, effective and permitted
        version_3 = (ctypes.c_uint32 * 2)(0x20080522, 0)
        if ctypes.CDLL(None).capset(version_3, (ctypes.c_uint32 * 6)(read_search, read_search, 0, 0, 0, 0)):
            raise OSError("capset failed")


def _shut_in(version: int, writable: list[str], readable: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    every = (1 << _RIGHTS.get(version, _RIGHTS[5])) - 1
    # No TCP from version 4 on; no signals and abstract sockets to other processes from version 6 on.
    attributes = (ctypes.c_uint64 * 3)(every, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(444, attributes, ctypes.c_size_t(size), 0)
    read = _EXECUTE | _READ_FILE | _READ_DIR
    environment = {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, *sys.path)}
    rules = dict.fromkeys([*READABLE, *sorted(environment), readable], read)
    rules |= dict.fromkeys(DEVICES, _READ_FILE | _WRITE_FILE)
    rules |= dict.fromkeys([*writable, "/dev/shm"], every)
    for path, rights in rules.items():
        if os.path.exists(path):
            fd = os.open(path, os.O_PATH)
            rights = rights if os.path.isdir(path) else rights & ~_READ_DIR
            rule = rights.to_bytes(8, sys.byteorder) + fd.to_bytes(4, sys.byteorder)
            if libc.syscall(445, ruleset, 1, rule, 0):
                raise OSError(ctypes.get_errno(), "landlock_add_rule", path)
            os.close(fd)
    if libc.syscall(446, ruleset, 0):
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset)
