#!/usr/bin/env bash
# Makes one folder from which cadnode is installed on a machine without a network.
#
#   deploy/bundle.sh [--debs] [OUT]        default OUT: dist/cadnode-VERSION-PYTHON
#
# wheels/              every package at the version that was tested, checked by its hash
#                      (deploy/supply/requirements), and cadnode's own wheel with its models
# requirements.txt     what install.sh installs, by name, version and hash
# system-packages.txt  Debian's packages beside them: for the PDF, and Python itself
# debs/                with --debs: these and all that they need, for this machine's release
# install.sh           installs it into /opt/cadnode, and asks no network for anything
# SHA256SUMS           of all files; install.sh checks them first
#
# $PYTHON: for which Python, and by which it is made; default python3.11. Needs about 3 GB, most of it
# torch with its CUDA libraries. Exit code: 0 when the folder is whole, 2 for a wrong argument.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3.11}
debs=no
out=
for word in "$@"; do
  case $word in
    --debs) debs=yes ;;
    -*) sed -n '2,18p' "$0"; exit 2 ;;
    *) out=$word ;;
  esac
done
number=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
locked=$root/deploy/supply/requirements/py$number.txt
[ -f "$locked" ] || { echo "There are tested versions for Python 3.11, 3.12 and 3.13, not $number." >&2; exit 2; }
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$root/cadnode/__init__.py")
out=${out:-$root/dist/cadnode-$version-py$number}
[ ! -e "$out" ] || { echo "$out is there already." >&2; exit 2; }
mkdir -p "$out/wheels"
out=$(cd "$out" && pwd)
unset PYTHONPATH PYTHONHOME
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "Packages for Python $number …" >&2
"$python" -m pip download --quiet --require-hashes --only-binary :all: --requirement "$locked" \
  --dest "$out/wheels"
cp "$locked" "$out/requirements.txt"

echo "cadnode $version …" >&2
(cd "$root" && cp -r cadnode training orthanc pyproject.toml setup.py README.md LICENSE NOTICE "$work")
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$out/wheels" "$work"

packages=("python$number" "python$number-venv" libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0
          fonts-dejavu-core)
printf '%s\n' "${packages[@]}" >"$out/system-packages.txt"
if [ $debs = yes ]; then
  echo "Debian's packages …" >&2
  mkdir -p "$out/debs/partial" && : >"$work/status" # as on a machine that has none of them
  apt-get install --yes --quiet --quiet --no-install-recommends --download-only \
    -o Dir::State::status="$work/status" -o Dir::Cache::archives="$out/debs" \
    -o Debug::NoLocking=1 "${packages[@]}" >/dev/null
  rm -rf "$out/debs/partial" "$out/debs/lock"
fi

cat >"$out/install.sh" <<'INSTALL'
#!/usr/bin/env bash
# Installs cadnode from this folder: ./install.sh [FOLDER], default /opt/cadnode. No network is used.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=${1:-/opt/cadnode}
python=${PYTHON:-python@NUMBER@}
unset PYTHONPATH PYTHONHOME
command -v "$python" >/dev/null || {
  echo "$python is missing: install system-packages.txt first (debs/, if it is there)." >&2; exit 1; }
[ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = @NUMBER@ ] || {
  echo "These packages are for Python @NUMBER@; $python is $("$python" -V)." >&2; exit 1; }
echo "Checking files …"
(cd "$here" && sha256sum --quiet --check SHA256SUMS) || {
  echo "A file differs from SHA256SUMS: copy the folder again." >&2; exit 1; }
umask 022 # root's may be stricter, and the service's user must read it
"$python" -m venv "$to"
export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1
echo "Installing into $to …"
"$to/bin/pip" install --quiet --find-links "$here/wheels" --require-hashes --requirement "$here/requirements.txt"
"$to/bin/pip" install --quiet --no-deps --force-reinstall "$here"/wheels/cadnode-*.whl
"$to/bin/cadnode" --version
echo "Next: sudo $to/bin/cadnode service install"
INSTALL
sed -i "s/@NUMBER@/$number/g" "$out/install.sh"
chmod +x "$out/install.sh"
(cd "$out" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
echo "$out: $(du -sh "$out" | cut -f1), $(find "$out/wheels" -name '*.whl' | wc -l) wheels" >&2
