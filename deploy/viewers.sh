#!/usr/bin/env bash
# Fetches from npm what the tests of viewers and pages use, as its developers built it.
#
#   deploy/viewers.sh
#
# OHIF, the viewer (48 MB to fetch, 170 MB on disk), and axe-core, which checks pages for
# accessibility (3 MB). Versions and sha512 are in tests/viewers/*.json; the files go to
# build/viewers/. With them there it prints nothing and changes nothing. npm is Node's;
# `deploy/system-packages.sh test` installs Debian's when there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

field() { sed -n "s/^ *\"$2\": *\"\(.*\)\",\{0,1\}$/\1/p" "tests/viewers/$1.json"; }

# fetch NAME FILE: the package of tests/viewers/NAME.json, of which FILE says that it is there.
fetch() {
  local package version integrity target work found
  package=$(field "$1" package) version=$(field "$1" version) integrity=$(field "$1" integrity)
  target=build/viewers/$1-$version
  [ -f "$target/$2" ] && return
  if ! command -v npm >/dev/null; then
    echo "npm is missing; without it the tests that need $package fail: deploy/system-packages.sh test" >&2
    exit 1
  fi
  mkdir -p build/viewers
  work=$(mktemp -d build/viewers/fetching.XXXXXX)
  echo "Fetching $package $version"
  npm pack "$package@$version" --silent --pack-destination "$work" >/dev/null
  found=sha512-$(openssl dgst -sha512 -binary "$work"/*.tgz | openssl base64 -A)
  if [ "$found" != "$integrity" ]; then
    echo "$package $version is not the file that was tested: $found" >&2
    exit 1
  fi
  tar xzf "$work"/*.tgz -C "$work" --exclude='*.map'  # its maps are for its makers
  rm -rf "$target"
  mv "$work/package" "$target"
}

trap 'rm -rf build/viewers/fetching.*' EXIT

fetch ohif dist/index.html
fetch axe axe.min.js
