#!/usr/bin/env bash
# Puts a program where run.sh looks for it: the release's binary where the action names one for this machine, or what cargo
# builds of the source that the action came with. In a step of its own, so that no build script sees a secret.
#
# get.sh PROGRAM [ARGUMENT OF cargo build]...
set -euo pipefail

program=$1
shift
action=$GITHUB_ACTION_PATH
root=$(cd "$action/../../.." && pwd)
to=$RUNNER_TEMP/preview-environments/$program
mkdir -p "${to%/*}"

url='' sha256=''
while IFS='=' read -r name value; do
  case $name in
    url) url=$value ;;
    sha256) sha256=$value ;;
  esac
done <"$action/release"

build() {
  printf '%s: %s; building it from source\n' "$program" "$1"
  # rustup reads which toolchain it is from the folder that cargo is started in.
  (cd "$root" && cargo build --quiet --release --locked --target-dir target --package "$program" "${@:2}")
  cp "$root/target/release/$program" "$to"
}

if [ -z "$url" ]; then
  build 'no release is named' "$@"
elif [ "$(uname -sm)" != 'Linux x86_64' ]; then
  build "the release has no binary for $(uname -sm)" "$@"
elif ! curl --fail --silent --show-error --location --proto '=https' --retry 3 --output "$to.new" "$url"; then
  build "$url cannot be had" "$@"
else
  # Something else under this address is no reason to go on by another way: somebody should look.
  printf '%s  %s\n' "$sha256" "$to.new" | sha256sum --check --strict --status || {
    printf '::error::%s is not what this action was made with: its SHA-256 is not %s\n' "$url" "$sha256"
    exit 1
  }
  chmod 755 "$to.new"
  mv "$to.new" "$to"
  printf '%s: %s\n' "$program" "$url"
fi
