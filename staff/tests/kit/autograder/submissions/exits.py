"""Every way to leave early, as if all were well; the line at the top does so on import."""

import os
import signal
import sys

sys.exit(0)


def sigmoid(x):
    sys.exit(0)


def softmax(x, dim=0):
    os._exit(0)


def apply_mask_to_image(image, mask):
    os.kill(os.getpid(), signal.SIGSEGV)


def load_FPN_resnet50():
    raise KeyboardInterrupt
