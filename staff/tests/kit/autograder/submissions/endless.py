"""Never returns: one function computes, the other sleeps."""

import time


def load_FPN_resnet50():
    while True:
        pass


def applyIoU(model, dataset):
    time.sleep(10_000)
