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
install() { "$source/venv/bin/pip" install --no-cache-dir "$@"; }

# Grading needs no notebook programs.
grep -vE '^(jupyterlab|nbclient|nbconvert|nbformat)==' "$source/requirements.txt" > "$source/venv/requirements.txt"
# PyTorch for CPUs needs some 5 GB less than the default builds. If its index does not answer, those are installed below.
grep -E '^torch(vision)?==' "$source/requirements.txt" > "$source/venv/torch.txt"
install --index-url https://download.pytorch.org/whl/cpu --retries 1 --timeout 20 -r "$source/venv/torch.txt" ||
    echo "No PyTorch for CPUs could be installed; going on with the default builds."
install -r "$source/venv/requirements.txt"
"$source/venv/bin/python" -c 'import torch, torchvision, segmentation_models_pytorch, albumentations, matplotlib.pyplot'
# The student's code runs as another user, who must be able to read the environment.
chmod -R go+rX "$source/venv"
