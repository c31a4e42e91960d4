"""Right results, among 50 MB on either stream, and warnings."""

import os
import sys
import warnings

_quiet = globals()["sigmoid"]


def sigmoid(x):
    for stream in (sys.stdout, sys.stderr):
        stream.write("noise " * 8_000_000)
    os.write(1, b"noise " * 1_000_000)
    warnings.warn("noise", stacklevel=1)
    return _quiet(x)
