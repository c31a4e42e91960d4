"""What a worker gives up before it runs the student's code: privileges, files, memory, time.

On Linux with Landlock (kernel 5.13 or newer) it can read the system, the Python environment and the student's tree, and
write the latter only, whoever runs the grader. Run by root it also becomes a user that nobody is.
"""

import ctypes
import os
import resource
import sys
from pathlib import Path

PR_SET_KEEPCAPS, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 8, 36, 38
FILE_SIZE = 64 << 20
PROCESSES = 256

READABLE = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/opt", "/proc", "/sys", "/dev")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# The rights of linux/landlock.h that version n of it knows are the lowest so many bits.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TCP, _SCOPES = 0b11, 0b11


def prctl(option: int) -> None:
    """Switch one of the process's attributes on (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, 1, 0, 0, 0)


def landlock_version() -> int:
    """Return the version of Landlock that the kernel offers, 0 if none."""
    if sys.platform != "linux":
        return 0
    return max(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1), 0)


def confine(request: dict, uid: int | None, keep_reading: bool, writable: list[str]) -> None:
    """Set the request's limits, shut this process into its files, and become `uid` if there is one.

    keep_reading: the Python environment lies where that user has no access (in root's home, say), so the right to
    read all files is kept; Landlock still narrows it down.
    """
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: request["cpu_seconds"],
        resource.RLIMIT_FSIZE: FILE_SIZE,
    }
    if sys.platform == "linux":
        # torch alone maps gigabytes of address space that it never touches, so the limit counts from there.
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits[resource.RLIMIT_AS] = mapped + request["memory_bytes"]
    if uid is not None:
        limits[resource.RLIMIT_NPROC] = PROCESSES
    for what, limit in limits.items():
        resource.setrlimit(what, (limit, limit))
    prctl(PR_SET_NO_NEW_PRIVS)
    if landlock_version():
        _shut_in(landlock_version(), writable)
    if uid is not None:
        become(uid, keep_reading)


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


def _shut_in(version: int, writable: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    every = (1 << _RIGHTS.get(version, _RIGHTS[5])) - 1
    # No TCP from version 4 on; no signals and abstract sockets to other processes from version 6 on.
    attributes = (ctypes.c_uint64 * 3)(every, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(444, attributes, ctypes.c_size_t(size), 0)
    read = _EXECUTE | _READ_FILE | _READ_DIR
    environment = {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, *sys.path)}
    rules = dict.fromkeys([*READABLE, *sorted(environment)], read)
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
