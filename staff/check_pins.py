"""Check that requirements.txt can be installed from wheels on every system and Python that the README names.

    python -m staff.check_pins    # needs the network

To be run when a pin changes. uv resolves the pins for each system without installing anything.
"""

import itertools
import os
import subprocess
import sys

from staff import ROOT

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "x86_64-pc-windows-msvc", "aarch64-apple-darwin")


def resolve(python: str, platform: str) -> str:
    """Return "" where the pins resolve for this Python and platform, else what uv says."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--only-binary", ":all:"]
    command += ["--python-version", python, "--python-platform", platform, str(ROOT / "requirements.txt")]
    # uv takes the version of macOS from this variable; without it, it resolves for macOS 13.
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
    return done.stderr.strip() if done.returncode else ""


def main() -> int:
    """Print one line for each Python and platform; return how many do not resolve."""
    failed = 0
    for platform, python in itertools.product(PLATFORMS, PYTHONS):
        problem = resolve(python, platform)
        print(f"{platform}, Python {python}: {problem or 'resolves'}", flush=True)
        failed += bool(problem)
    return failed


if __name__ == "__main__":
    sys.exit(main())
