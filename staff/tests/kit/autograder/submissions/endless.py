"""Computes for ever. (takes_too_much.py has one that sleeps.)"""


def load_FPN_resnet50():
    while True:
        pass
