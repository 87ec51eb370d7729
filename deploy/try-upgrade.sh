#!/usr/bin/env bash
# Tries an upgrade of a running node, and the way back, with real processes over one storage folder.
#
#   deploy/try-upgrade.sh [OLDER]     a tag or commit; default: the last tag before this commit, else
#                                     the commit that made tests/golden/state-0.1.0
#
# The older version reads and delivers a drawn exam, holds a delivery that its destination does not
# take, and receives a third exam that it does not read yet. This version goes on over that, then the
# older one again, each with one exam more. Prints for each exam how often which version read and
# delivered it. Both run with this folder's .venv. Takes some two minutes.
# Exit code: 0 when everything was read once and delivered once, 1 otherwise.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
older=${1:-$(git describe --tags --abbrev=0 HEAD^ 2>/dev/null ||
  git log --format=%h --diff-filter=A -- tests/golden/state-0.1.0 | tail -n 1)}
work=$(mktemp -d "${TMPDIR:-/tmp}/cadnode-upgrade.XXXXXX")
trap 'git worktree remove --force "$work/older" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/older" "$older"
mkdir -p "$work/names" && ln -s "$root/training" "$work/names/cadnode_training"
echo "from $(git log -1 --format='%h of %as' "$older") to $(git log -1 --format='%h of %as' HEAD)"
PYTHONPATH="$root:$work/names" .venv/bin/python -m tests.upgrade "$work/older" "$work"
