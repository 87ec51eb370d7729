#!/usr/bin/env bash
# Tries a rolling upgrade: roles of two versions on one folder and PostgreSQL, while exams come.
#
#   deploy/try-rolling-upgrade.sh [OLDER] [--exams N] [--namespaces]
#
# OLDER is a tag or commit, default: the last tag before this commit, else the commit before HEAD. It
# begins with one listener and two workers; each role is then stopped and started as this version, the
# listener beside its predecessor behind HAProxy. Both versions run with this folder's .venv. Prints
# what was lost, read twice or delivered twice (`benchmarks/listener_nodes.py`).
# Needs root, and what deploy/system-packages.sh test installs. Takes some minutes.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
older=$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null || git rev-parse HEAD^)
case ${1:-} in ''|--*) ;; *) older=$1; shift ;; esac
work=$(mktemp -d "${TMPDIR:-/tmp}/cadnode-rolling.XXXXXX")
trap 'git worktree remove --force "$work/older" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/older" "$older"
mkdir "$work/names" && ln -s "$root/training" "$work/names/cadnode_training"
echo "from $(git log -1 --format='%h of %as' "$older") to $(git log -1 --format='%h of %as' HEAD)"
PYTHONPATH="$root:$work/names" .venv/bin/python -m benchmarks.listener_nodes --older "$work/older" "$@"
