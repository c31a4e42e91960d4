#!/usr/bin/env bash
# Builds the image that Gradescope would build, and grades in it. For whoever changes the kit; needs root, Debian's
# debootstrap, 20 GB of disk and up to an hour. It is no part of the tests.
#
#     staff/kit/try_image.sh [IMAGE [MEMORY]]     a folder (default /var/tmp/proj2-image), bytes (default 2 GiB)
#
# setup.sh runs from dist/autograder.zip in a fresh Debian, then run_autograder grades the reference, the starter and
# three hostile submissions, with the network and again without it. Each line says how long it took, how much memory
# its processes held at most (without the disk cache), and the points. An image that is there already is graded in
# again, with the newest dist/autograder.zip. This machine's settings of apt and pip hold inside as well: they are
# copied, and the folders that pip's settings name are mounted.
set -euo pipefail
# In a mount namespace of its own, what is mounted below goes away with this script.
[ -n "${PROJ2_IMAGE:-}" ] || PROJ2_IMAGE=1 exec unshare --mount --propagation private bash "${BASH_SOURCE[0]}" "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
image=${1:-/var/tmp/proj2-image}
memory=${2:-2147483648}
[ "$(id -u)" = 0 ] || { echo "try_image.sh needs root, as Gradescope's image build has it." >&2; exit 1; }
command -v debootstrap unzip > /dev/null || { echo "Install debootstrap and unzip first." >&2; exit 1; }

log=$image.log

# A control group with the memory limit: version 2 of the kernel's interface, or else version 1.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    group=/sys/fs/cgroup/proj2-image-$$
    mkdir "$group"
    echo "$memory" > "$group/memory.max"
    held='^(anon|shmem) '
else
    group=/sys/fs/cgroup/memory/proj2-image-$$
    mkdir "$group"
    echo "$memory" > "$group/memory.limit_in_bytes"
    held='^total_(rss|shmem) '
fi
trap 'rmdir "$group" 2> /dev/null || true' EXIT

measured() { # measured NAME COMMAND…: run it in the group and the image, its output to the log
    local name=$1 start=$SECONDS peak=0 now status=0
    shift
    echo "== $name" >> "$log"
    (echo "$BASHPID" > "$group/cgroup.procs" && exec "$@") >> "$log" 2>&1 &
    while kill -0 $! 2> /dev/null; do
        now=$(awk -v held="$held" '$0 ~ held {sum += $2} END {printf "%d", sum / 1048576}' "$group/memory.stat")
        [ "$now" -le "$peak" ] || peak=$now
        sleep 0.2
    done
    wait $! || status=$?
    printf '%-40s %5d s  %6d MiB  exit %d' "$name" $((SECONDS - start)) "$peak" "$status"
    return "$status"
}

mounted=()
mount_inside() {
    mkdir -p "$image$1"
    mount --rbind "$1" "$image$1"
    mounted+=("--exclude=$image$1")
}

size() { du -sxm "${mounted[@]}" "$1" | cut -f1; }
inside() { measured "$1" "${@:2:$#-2}" chroot "$image" /usr/bin/env HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin bash "${!#}"; }
source=$image/autograder/source

install_debian() {
    local mirror suite path
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2> /dev/null |
        grep -E '^(deb |URIs:)' | grep -oE '[a-z+]+://[^ ]+/debian/?( |$)' | head -1 || true)
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$image" "${mirror% }" > "$log" 2>&1 ||
        { tail "$log" >&2; exit 1; }
    echo "Debian $suite: $(size "$image") MB"
    cp -a /etc/apt/. "$image/etc/apt/"
    cp -a /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/"
    cp -L /etc/resolv.conf /etc/hosts "$image/etc/"
    for path in /etc/pip.conf /etc/xdg/pip ~/.config/pip ~/.pip; do
        [ ! -e "$path" ] || { mkdir -p "$image$(dirname "$path")" && cp -aLT "$path" "$image$path"; }
    done
}

[ -e "$image/built" ] || install_debian
for path in /proc /dev /sys; do mount_inside "$path"; done
for path in $(python3 -m pip config list 2> /dev/null | grep -oE "(file://)?/[^ ']+" | sed 's#^file://##'); do
    [ "$(basename "$path")" != simple ] || path=$(dirname "$path") # an index's files lie beside its pages
    [ ! -d "$path" ] || mount_inside "$path"
done
mkdir -p "$source"
unzip -qo dist/autograder.zip -d "$source"
cp "$source/run_autograder" "$image/autograder/"
if [ ! -e "$image/built" ]; then
    inside setup.sh /autograder/source/setup.sh || { echo && tail "$log" >&2; exit 1; }
    echo && touch "$image/built"
fi
echo "image: $(size "$image") MB, of it Python packages $(size "$source/venv") MB"

grade() { # grade NAME FILE [PREFIX…]: hand FILE in as student_code.py, with the project's utils.py
    rm -rf "$image/autograder/submission" "$image/autograder/results"
    mkdir -p "$image/autograder/submission" "$image/autograder/results"
    cp "$2" "$image/autograder/submission/student_code.py"
    cp proj2_code/utils.py "$image/autograder/submission/"
    inside "$1" "${@:3}" /autograder/run_autograder || true
    python3 -c '
import json, sys
results = json.load(open(sys.argv[1]))
most = sum(test["max_score"] for test in results.get("tests", []))
print("  points", results["score"], "of", most)' "$image/autograder/results/results.json"
}

codes=$(mktemp -d)
.venv/bin/python -c '
import sys
from staff import ROOT
from staff.kit import make_starter
name = "proj2_code/student_code.py"
sys.stdout.write(make_starter.student_code((ROOT / name).read_text("utf-8"), name))' > "$codes/starter"
cp proj2_code/student_code.py "$codes/reference"
hostile=(exits leaves_processes writes_results)
for name in "${hostile[@]}"; do # each follows good.py, which does 70 points' worth
    cat staff/tests/kit/autograder/submissions/{good,"$name"}.py | sed 's#@ROOT@#/autograder#g; s#@SECONDS@#7777#g' > "$codes/$name"
done
for network in "" "unshare -n"; do
    for name in reference starter "${hostile[@]}"; do
        grade "$name${network:+, no network}" "$codes/$name" $network
    done
done
rm -r "$codes"
echo "The log is $log. Delete $image when you are done."
