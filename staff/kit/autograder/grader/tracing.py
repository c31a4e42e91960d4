"""Notes what a function is made of while it runs: the operators of torch, and calls into other packages.

Part of the worker, and so within reach of the student's code: README.md says what remains possible.
"""

import contextlib
import re
import sys
import threading

import numpy as np
from torch.utils._python_dispatch import TorchDispatchMode

from . import ready_made

MOST_NAMES = 200
_PACKAGE = re.compile(r"[\\/](?:site|dist)-packages[\\/]([^\\/.]+)")
_calls_of_ufuncs: dict[str, None] = {}
_looked_through: set[str] = set()


class TracedUfunc:
    """A ufunc in C, which no profiler of Python sees, and which notes its calls."""

    def __init__(self, ufunc, name):
        self.ufunc, self.name = ufunc, name

    def __call__(self, *args, **kwargs):
        _calls_of_ufuncs[self.name] = None
        return self.ufunc(*args, **kwargs)

    def __getattr__(self, name):
        if name in ("reduce", "accumulate", "reduceat", "outer", "at"):
            _calls_of_ufuncs[self.name] = None
        return getattr(self.ufunc, name)


def trace_ufuncs() -> None:
    """Replace every ufunc that is not NumPy's own by a traced one, in the modules imported since the last call.

    The supervisor looks through those that it has preloaded: in a worker this would copy most of the memory they share.
    """
    new = set(sys.modules) - _looked_through
    _looked_through.update(new)
    own = {id(ufunc): name for key in sys.modules if f"{key}.".startswith("numpy.") for name, ufunc in _ufuncs_of(key)}
    traced: dict[int, TracedUfunc] = {}
    for key in sorted(new):
        for name, ufunc in _ufuncs_of(key):
            numpys = own.get(id(ufunc))
            if numpys is None or numpys in ready_made.UFUNCS:
                full_name = f"numpy.{numpys}" if numpys else f"{key}.{name}"
                found = traced.setdefault(id(ufunc), TracedUfunc(ufunc, full_name))
                with contextlib.suppress(AttributeError, TypeError):
                    setattr(sys.modules[key], name, found)


def _ufuncs_of(key):
    try:
        contents = vars(sys.modules[key])
    except TypeError:  # not every entry is a module
        return []
    return [(name, value) for name, value in contents.items() if type(value) is np.ufunc]


def _package(frame):
    """The installed package that a frame's code belongs to, or None."""
    found = _PACKAGE.search(frame.f_code.co_filename)
    return found[1] if found else None


def _called_by_student(frame):
    """Whether the student's code made this call, and not another library or an import."""
    while frame := frame.f_back:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return False
        if package := _package(frame):
            return package not in ready_made.PACKAGES
    return True


@contextlib.contextmanager
def tracing(names: list[str]):
    """Add to `names` the operators that torch runs, whatever name they were called by, and the packages called."""

    def note(name):
        if name not in names and len(names) < MOST_NAMES:
            names.append(name)

    class Operators(TorchDispatchMode):
        @classmethod
        def _should_skip_dynamo(cls):
            return False  # or every worker would spend two seconds on importing torch's compiler

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            note(f"torch.{func._schema.name.removeprefix('aten::')}")
            return func(*args, **(kwargs or {}))

    def profile(frame, event, arg):
        if event != "call" or (package := _package(frame)) in ready_made.PACKAGES | {None}:
            return
        if _called_by_student(frame):
            note(f"{frame.f_globals.get('__name__', package)}.{frame.f_code.co_name}")

    trace_ufuncs()  # those of what the submission has imported
    _calls_of_ufuncs.clear()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        with Operators():
            yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        for name in _calls_of_ufuncs:
            note(name)
