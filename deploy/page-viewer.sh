#!/usr/bin/env bash
# Fetches the library of the pages' viewer, OpenSeadragon (BSD-3-Clause), from npm.
#
#   deploy/page-viewer.sh
#
# Version and sha512 are in cadnode/web/library.json; the files go to cadnode/web/library/VERSION/
# (1 MB to fetch), from where a wheel takes them. With the library there it prints nothing
# and changes nothing. npm is Node's; `deploy/system-packages.sh test` installs Debian's.
set -euo pipefail
cd "$(dirname "$0")/.."

field() { sed -n "s/^ *\"$1\": *\"\(.*\)\",\{0,1\}$/\1/p" cadnode/web/library.json; }
package=$(field package) version=$(field version) integrity=$(field integrity)
target=cadnode/web/library/$version
[ -f "$target/openseadragon.min.js" ] && exit 0

if ! command -v npm >/dev/null; then
  echo "npm is missing; without it the pages show plain images instead of a viewer" >&2
  exit 1
fi

mkdir -p build
work=$(mktemp -d build/fetching.XXXXXX)
trap 'rm -rf "$work"' EXIT
echo "Fetching $package $version"
npm pack "$package@$version" --silent --pack-destination "$work" >/dev/null
found=sha512-$(openssl dgst -sha512 -binary "$work"/*.tgz | openssl base64 -A)
if [ "$found" != "$integrity" ]; then
  echo "$package $version is not the file that was tested: $found" >&2
  exit 1
fi
tar xzf "$work"/*.tgz -C "$work"
rm -rf cadnode/web/library
mkdir -p "$target"
# What a source map would be found by is left out: nobody serves it.
sed '/^\/\/# sourceMappingURL=/d' "$work/package/build/openseadragon/openseadragon.min.js" \
  > "$work/openseadragon.min.js"
cp "$work/package/LICENSE.txt" "$target/"
mv "$work/openseadragon.min.js" "$target/"  # last: it says that all is there
