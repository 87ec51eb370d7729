#!/usr/bin/env bash
# Tries the wheel on every Python: installs it as a user would, and follows the README's first steps.
#
#   deploy/try-pythons.sh [--keep] [VERSION…]        default: 3.11 3.12 3.13
#
# For each version that is found (on PATH, else of pyenv), in a virtual environment of its own:
#
#   install   pip install of the wheel with its extra demo, at the versions of constraints.txt
#   check     cadnode check, which runs a real job in a job database of its own
#   demo      cadnode demo: archive and node started, an exam sent, read and reported
#   train     the stacked autoencoder, one epoch, on drawn images
#   add       cadnode models add of what was trained
#   activate  cadnode models activate, then cadnode models verify
#
# Prints a table with the seconds of each step, `FAILED` or `-` (not tried, as a step before failed).
# A version that is not found has a line, and is no failure as long as another is found.
# Each environment takes about 6 GB (torch with its CUDA libraries) and is removed when it is done,
# unless --keep. $TRY_IN: where, default a new folder in $TMPDIR; the logs stay there.
# $TRY_LIMIT_S: seconds that one step may take, default 1800.
# Exit code: 0 when every step of every Python found went well, 1 when one failed, 2 when no step ran.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
steps=(install check demo train add activate)
limit_s=${TRY_LIMIT_S:-1800}
keep=no
versions=()
for word in "$@"; do
  case $word in
    --keep) keep=yes ;;
    3.[0-9]*) versions+=("$word") ;;
    *) sed -n '2,20p' "$0"; exit 2 ;;
  esac
done
[ ${#versions[@]} -gt 0 ] || versions=(3.11 3.12 3.13)
work=${TRY_IN:-$(mktemp -d "${TMPDIR:-/tmp}/cadnode-pythons.XXXXXX")}
mkdir -p "$work"
work=$(cd "$work" && pwd)
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV # the wheel is tried, not this folder

# A shim of pyenv may be on PATH and stand for nothing: what is found has to run.
find_python() {
  local candidate
  while read -r candidate; do
    if [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$1" ]; then
      echo "$candidate"
      return
    fi
  done < <(
    type -ap "python$1" || true
    find "${PYENV_ROOT:-$HOME/.pyenv}/versions" -maxdepth 1 -name "$1.*" 2>/dev/null |
      sort --version-sort --reverse | sed 's|$|/bin/python|'
  )
  return 1
}

# Only what belongs to the wheel, elsewhere: a build leaves folders behind, and reads old ones.
make_wheel() {
  local source=$work/source
  rm -rf "$source" "$work/dist" && mkdir -p "$source"
  (cd "$root" && cp -r cadnode training orthanc pyproject.toml setup.py README.md LICENSE "$source")
  "$1" -m pip wheel --quiet --no-deps --wheel-dir "$work/dist" "$source" >"$work/wheel.log" 2>&1
}

free_port() { "$1" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

step_install() {
  "$python" -m venv --clear "$here/venv"
  "$here/venv/bin/python" -m pip install --quiet --constraint "$root/constraints.txt" \
    "$(echo "$work"/dist/cadnode-*.whl)[demo]"
}

step_check() {
  printf '[storage]\nfolder = "%s/storage"\n[listener]\nhost = "127.0.0.1"\nport = %s\n[web]\nport = %s\n' \
    "$here" "$(free_port "$python")" "$(free_port "$python")" >"$here/cadnode.toml"
  cadnode check --config cadnode.toml
}

step_demo() { cadnode demo --out demo && test -s demo/index.html; }

step_train() {
  cadnode train wang2016 --data phantom:small --epochs 1 --folds 0 --out trained
}

step_add() {
  cadnode models add trained --config cadnode.toml --json >added.json && cat added.json
}

step_activate() {
  local model
  model=$("$here/venv/bin/python" -c \
    'import json; m = json.load(open("added.json"))[0]; print(m["name"] + "@" + m["version"])')
  cadnode models activate "$model" --config cadnode.toml &&
    cadnode models verify --config cadnode.toml
}

# One step in a shell of its own, where `set -e` counts, with its output in a log.
run_step() {
  export here python work root
  export -f cadnode free_port "step_$1"
  (cd "$here" && timeout --kill-after 30 "$limit_s" bash -euo pipefail -c "step_$1") \
    >"$here/$1.log" 2>&1 </dev/null
}

cadnode() { "$here/venv/bin/cadnode" "$@"; }

row() { printf '%-9s %-9s' "$1" "$2"; shift 2; printf ' %9s' "$@"; printf '\n'; }

table=("$(row Python SQLite "${steps[@]}")")
pythons=()
for version in "${versions[@]}"; do
  if path=$(find_python "$version"); then
    pythons+=("$path")
  else
    table+=("$version: not found")
  fi
done
if [ ${#pythons[@]} -eq 0 ]; then
  echo "None of Python ${versions[*]} was found, on PATH or of pyenv." >&2
  exit 2
fi
if ! make_wheel "${pythons[0]}"; then
  echo "The wheel cannot be built: see $work/wheel.log" >&2
  exit 2
fi

failed=no
for python in "${pythons[@]}"; do
  read -r number sqlite < <("$python" -c \
    'import platform, sqlite3; print(platform.python_version(), sqlite3.sqlite_version)')
  here=$work/$number
  rm -rf "$here" && mkdir -p "$here"
  cells=()
  broken=no
  for step in "${steps[@]}"; do
    if [ $broken = yes ]; then cells+=(-); continue; fi
    echo "Python $number: $step …" >&2
    began=$SECONDS
    if run_step "$step"; then
      cells+=("$((SECONDS - began)) s")
    else
      cells+=(FAILED)
      broken=yes failed=yes
      echo "Python $number: $step failed; the end of $here/$step.log:" >&2
      tail -n 15 "$here/$step.log" >&2
    fi
  done
  table+=("$(row "$number" "$sqlite" "${cells[@]}")")
  [ $keep = yes ] || rm -rf "$here/venv"
done

printf '%s\n' "${table[@]}"
echo "Logs: $work" >&2
[ $failed = no ]
