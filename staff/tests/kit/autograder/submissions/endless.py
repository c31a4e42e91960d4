"""Computes for ever. (takes_too_much.py has one that sleeps.)"""


def compare_psp_fpn(test_dataset):
    while True:
        pass
