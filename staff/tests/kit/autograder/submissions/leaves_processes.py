"""Right results, and processes that outlive them: one in the background, one that has left session and parent."""

import os
import subprocess

_alone = globals()["sigmoid"]


def sigmoid(x):
    subprocess.Popen(["sleep", "@SECONDS@"])
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", "@SECONDS@"])
        os._exit(0)
    return _alone(x)
