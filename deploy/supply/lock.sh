#!/usr/bin/env bash
# Writes the hashed lists of third-party packages, one per Python version: deploy/supply/requirements/.
#
#   deploy/supply/lock.sh            from pyproject.toml and constraints.txt, in a temporary environment
#
# What is installed from them is what was tested: pip refuses any file with another hash.
#
#   pip install --require-hashes -r deploy/supply/requirements/py3.11.txt
#   pip install --no-deps dist/cadnode-*.whl
set -euo pipefail
cd "$(dirname "$0")/../.."

tools="$(mktemp -d)"
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools/venv"
"$tools/venv/bin/python" -m pip install --quiet uv

for version in 3.11 3.12 3.13; do
  list="deploy/supply/requirements/py$version.txt"
  {
    echo "# Python $version on x86-64 Linux, with the extras demo and pdf. Made by deploy/supply/lock.sh."
    "$tools/venv/bin/uv" pip compile pyproject.toml --quiet --extra demo --extra pdf \
      --constraint constraints.txt --python-version "$version" \
      --python-platform x86_64-manylinux_2_28 --generate-hashes --no-annotate --no-header
  } > "$list"
  echo "$list: $(grep -c '==' "$list") packages"
done
