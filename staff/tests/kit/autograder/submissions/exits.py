"""Every way to leave early, as if all were well; the line at the top does so on import."""

import os
import signal
import sys

sys.exit(0)


def sigmoid(x):
    sys.exit(0)


def apply_mask_to_image(image, mask):
    os.kill(os.getpid(), signal.SIGSEGV)


def IoU(predict, target):
    raise KeyboardInterrupt


def applyIoU(model, dataset):
    os._exit(0)
