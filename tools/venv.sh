#!/bin/sh
# Makes the virtual environment $1, unless a sound one is there already.
#
# The interpreter is the first that is new enough of $PYTHON (if set), python3.13, python3.12,
# python3.11 and python3. It is run, not just looked for: a version manager's shim may exist for a
# version that is not installed.
set -eu

venv=$1
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

if "$venv/bin/python" -c "$new_enough" 2>/dev/null &&
    "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if "$candidate" -c "$new_enough" 2>/dev/null; then
        echo "Making $venv with $candidate ..."
        # An environment half made by an interrupted run is started over.
        if "$candidate" -m venv --clear "$venv"; then
            exit 0
        fi
        echo "chasqui: $candidate could not make a virtual environment in $venv" >&2
        echo "chasqui: on Debian and Ubuntu it needs the package python3-venv" >&2
        exit 1
    fi
done

echo "chasqui: Python 3.11 or newer is needed; tried: ${PYTHON:-python3.13 python3.12 python3.11 python3}" >&2
echo "chasqui: install it, or name it: make up PYTHON=/path/to/python3" >&2
exit 1
