#!/usr/bin/env bash
# Installs the Debian/Ubuntu packages that cadnode's demo and tests use as real peers.
#
#   deploy/system-packages.sh demo|test|all [--dry-run]
#
# demo   an archive for the demo (Orthanc). Without it the demo uses its embedded archive.
# test   the peers and validators of the tests: Orthanc, DCMTK, dicom3tools, xmllint, PixelMed (a JDK to
#        run it once for many files), pango and fonts for the report on paper, Chromium with
#        its driver, OHIF (from npm, by deploy/viewers.sh), PostgreSQL as a job database, a C
#        compiler for the disk that fails, Prometheus, and HAProxy before two listeners.
# all    both.
#
# Installs only what is missing; with nothing missing it prints nothing and changes nothing.
# Without root it uses sudo if that asks for no password, else prints the one command to run.
# Exit code: 0 when all is there, 1 when something is still missing.
set -euo pipefail

what=${1:-all}
dry_run=${2:-}

demo_packages=(orthanc orthanc-dicomweb)
test_packages=(orthanc orthanc-dicomweb orthanc-python orthanc-gdcm dcmtk dicom3tools
               pixelmed-apps default-jdk-headless libgdcm-tools chromium chromium-driver openssl
               libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk
               postgresql gcc libc6-dev libxml2-utils prometheus haproxy)
command -v npm >/dev/null || test_packages+=(npm)
case $what in
  demo) wanted=("${demo_packages[@]}") ;;
  test) wanted=("${test_packages[@]}") ;;
  all)  wanted=("${demo_packages[@]}" "${test_packages[@]}") ;;
  *) sed -n '2,13p' "$0"; exit 2 ;;
esac

missing() {
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || echo "$package"
  done | sort -u
}

# Its absence is no reason to stop: the one test that needs it reports it.
viewers() {
  case $what in test|all) "$(dirname "$0")/viewers.sh" || true ;; esac
}

if ! command -v apt-get >/dev/null; then
  echo "This system has no apt-get. Please install these by its own means: ${wanted[*]}" >&2
  exit 1
fi

mapfile -t todo < <(missing)
[ ${#todo[@]} -eq 0 ] && { [ "$dry_run" = --dry-run ] || viewers; exit 0; }

command="apt-get install --yes --no-install-recommends ${todo[*]}"
if [ "$dry_run" = --dry-run ]; then echo "would run: $command"; exit 0; fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if sudo -n true 2>/dev/null; then
    as_root=(sudo)
  else
    echo "Missing system packages: ${todo[*]}" >&2
    echo "You are not root and sudo wants a password. Please run, once:" >&2
    echo "    sudo $command" >&2
    exit 1
  fi
fi

echo "Installing system packages: ${todo[*]}"
had_orthanc=$(dpkg-query -W -f '${Status}' orthanc 2>/dev/null | grep -c 'install ok installed' || true)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" $command -qq >/dev/null

# Debian starts Orthanc as a service on installation; tests and demo start their own.
if [ "$had_orthanc" = 0 ] && command -v systemctl >/dev/null && systemctl is-active --quiet orthanc 2>/dev/null; then
  echo "Stopping the Orthanc service that the package started (start it again: systemctl start orthanc)"
  "${as_root[@]}" systemctl disable --now orthanc
fi

mapfile -t todo < <(missing)
[ ${#todo[@]} -eq 0 ] || { echo "Still missing: ${todo[*]}" >&2; exit 1; }
viewers
