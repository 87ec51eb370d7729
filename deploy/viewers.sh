#!/usr/bin/env bash
# Fetches the viewer that the tests use: OHIF, as its developers built it, from npm.
#
#   deploy/viewers.sh
#
# Version and sha512 are in tests/viewers/ohif.json; the files go to build/viewers/ (48 MB to
# fetch, 170 MB on disk). With the viewer installed it prints nothing and changes nothing. npm is
# Node's; `deploy/system-packages.sh test` installs Debian's when there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

field() { sed -n "s/^ *\"$1\": *\"\(.*\)\",\{0,1\}$/\1/p" tests/viewers/ohif.json; }
package=$(field package) version=$(field version) integrity=$(field integrity)
target=build/viewers/ohif-$version
[ -f "$target/dist/index.html" ] && exit 0

if ! command -v npm >/dev/null; then
  echo "npm is missing; without it the test of what OHIF shows fails: deploy/system-packages.sh test" >&2
  exit 1
fi

mkdir -p build/viewers
work=$(mktemp -d build/viewers/fetching.XXXXXX)
trap 'rm -rf "$work"' EXIT
echo "Fetching $package $version (48 MB)"
npm pack "$package@$version" --silent --pack-destination "$work" >/dev/null
found=sha512-$(openssl dgst -sha512 -binary "$work"/*.tgz | openssl base64 -A)
if [ "$found" != "$integrity" ]; then
  echo "$package $version is not the file that was tested: $found" >&2
  exit 1
fi
tar xzf "$work"/*.tgz -C "$work" --exclude='*.map'  # its maps are for its makers
rm -rf "$target"
mv "$work/package" "$target"
