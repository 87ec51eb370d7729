#!/usr/bin/env bash
# Follows the quick starts to the letter: runs each `sh` block of docs/quickstart-*.md, in order.
#
#   deploy/try-quickstarts.sh [--list] [--keep] [PAGE…]        default: docs/quickstart-*.md
#
# Each page gets a folder and a home folder of its own, and one shell with `set -euo pipefail`; what it
# left running is ended. A block after `<!-- not tried: … -->` is left out. --list prints the blocks and
# runs nothing. The pages name ports 11112 and 8114: both must be free.
# cadnode is that of this checkout's .venv, else the one on PATH. $TRY_IN: where, default a new folder in
# $TMPDIR; the pages' folders are removed at the end unless --keep. $TRY_LIMIT_S: seconds that a page may take, default 1800.
# Exit code: 0 when every block of every page ended with 0, 1 when one did not.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
limit_s=${TRY_LIMIT_S:-1800}
list=no keep=no
pages=()
for word in "$@"; do
  case $word in
    --list) list=yes ;;
    --keep) keep=yes ;;
    -*) sed -n '2,13p' "$0"; exit 2 ;;
    *) pages+=("$(realpath "$word")") ;;
  esac
done
[ ${#pages[@]} -gt 0 ] || pages=("$root"/docs/quickstart-*.md)

# Blocks, each below a line `#: LINE` with the line of the page on which it begins.
blocks() {
  awk '
    /^<!-- not tried/ { skip = 1; next }
    /^```sh$/ && !skip { inside = 1; print "#: " NR + 1; next }
    /^```/ { if (inside || skip) closed = 1; if (inside) inside = 0; else if (skip == 1) skip = 2; else skip = 0; next }
    inside { print }
  ' "$1"
}

if [ $list = yes ]; then
  for page in "${pages[@]}"; do blocks "$page"; done
  exit 0
fi

work=$(realpath "${TRY_IN:-$(mktemp -d "${TMPDIR:-/tmp}/cadnode-quickstarts.XXXXXX")}")
folders=()
[ -x "$root/.venv/bin/cadnode" ] && PATH=$root/.venv/bin:$PATH
command -v cadnode >/dev/null || { echo "cadnode is not installed: make setup"; exit 1; }
failed=0
for page in "${pages[@]}"; do
  name=$(basename "$page" .md)
  folder=$work/$name
  mkdir -p "$folder/home"
  mkdir "$folder/try" # a fresh one
  folders+=("$folder")
  {
    echo 'set -euo pipefail'
    echo 'trap '\''code=$?; kill $(jobs -p) 2>/dev/null || true; wait; exit $code'\'' EXIT'
    blocks "$page" | sed -E "s|^#: ([0-9]+)\$|echo \"== $name.md, line \\1 (\${SECONDS} s)\"|"
    echo 'echo "== end (${SECONDS} s)"'
  } >"$folder/script.sh"
  echo "$name: $folder"
  if (cd "$folder/try" && HOME=$folder/home XDG_CACHE_HOME=$folder/home/.cache \
      timeout --kill-after=30 "$limit_s" bash "$folder/script.sh") >"$folder/log" 2>&1; then
    grep '^== ' "$folder/log" | tail -1
  else
    failed=1
    echo "FAILED, the end of $folder/log:"
    tail -25 "$folder/log"
    keep=yes
  fi
done
# What was in $TRY_IN before stays.
[ $keep = yes ] || { rm -rf "${folders[@]}" && rmdir --ignore-fail-on-non-empty "$work"; }
exit $failed
