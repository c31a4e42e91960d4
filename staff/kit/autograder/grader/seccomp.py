"""System calls that no solution needs, refused in the worker: tracing other processes, and memory that outlives one.

A filter of the kernel (seccomp), for x86-64 and arm64; elsewhere there is none.
"""

import ctypes
import errno
import platform
import struct
import sys

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data

# The number of each call on x86-64 and on arm64.
_REFUSED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000  # x86-64 has a second set of numbers, from here on


def refuse_system_calls() -> None:
    """Install the filter in this process and in those it will start. Needs PR_SET_NO_NEW_PRIVS or root."""
    column, architecture = _ARCHITECTURES.get(platform.machine(), (None, None))
    if sys.platform != "linux" or column is None:
        return
    numbers = [pair[column] for pair in _REFUSED.values()]
    refused = len(numbers) + 1  # the instruction after all comparisons and ALLOW
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, refused + 2, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, refused, 0, _X32),
        *((_EQUAL, refused - 1 - i, 0, number) for i, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *instruction) for instruction in program))
    length_and_code = struct.pack("@HP", len(program), ctypes.addressof(code))
    ctypes.CDLL(None).prctl(_PR_SET_SECCOMP, _MODE_FILTER, length_and_code, 0, 0)
