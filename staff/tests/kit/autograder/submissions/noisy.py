"""Right results, among 6 MB on either stream in every call, and warnings."""

import os
import sys
import warnings

_quiet = globals()["sigmoid"]


def sigmoid(x):
    for stream in (sys.stdout, sys.stderr):
        stream.write("noise " * 1_000_000)
    os.write(1, b"noise " * 100_000)
    warnings.warn("noise", stacklevel=1)
    return _quiet(x)
