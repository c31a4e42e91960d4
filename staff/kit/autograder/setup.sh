#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the image: a virtual environment with what students have.
set -euo pipefail
source="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y python3 python3-venv

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; }

python=python3
if ! new_enough "$python"; then
    # Ubuntu 22.04 has Python 3.10 as its own and 3.11 beside it.
    apt-get install -y python3.11 python3.11-venv
    python=python3.11
fi
"$python" -m venv "$source/venv"
"$source/venv/bin/pip" install --no-cache-dir -r "$source/requirements.txt"
"$source/venv/bin/python" -c 'import torch, torchvision, segmentation_models_pytorch, albumentations, matplotlib.pyplot'
# The student's code runs as another user, who must be able to read the environment.
chmod -R go+rX "$source/venv"
