#!/usr/bin/env bash
# Has each action name the binary of a release: where it is, and the SHA-256 that it has to have.
#
# name-release.sh VERSION FOLDER: the binaries of VERSION lie in FOLDER, as they are published.
set -euo pipefail

version=$1 folder=$2
if [[ ! $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
  printf '::error::%q is no version, as v1.2.3 is one\n' "$version"
  exit 1
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for program in deploy cleanup promote; do
  sha256=$(sha256sum "$folder/preview-$program" | cut -d ' ' -f 1)
  printf '# The static binary (Linux, x86_64) of %s that this action runs, and the SHA-256 that it has to have.\nurl=%s\nsha256=%s\n' \
    "$version" "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/releases/download/$version/preview-$program" "$sha256" \
    >"$here/$program/release"
done
