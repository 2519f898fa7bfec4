#!/usr/bin/env bash
# Runs a program that get.sh has put there, with the inputs of the action. They come by the environment, INPUT_… each, and
# none of them is ever read as shell or as another option.
#
# run.sh PROGRAM NAME...: an input `NAME=` is an option with a value, another NAME a switch, and `command` is where the
# subcommand stands.
set -euo pipefail

program=$RUNNER_TEMP/preview-environments/$1
shift
arguments=()
for name in "$@"; do
  variable=INPUT_${name%=}
  variable=${variable//-/_}
  variable=${variable^^}
  value=${!variable-}
  [ -n "$value" ] || continue
  case $name:$value in
    command:[a-z]*) arguments+=("$value") ;;
    *=:*) arguments+=("--$name$value") ;;
    *:true) arguments+=("--$name") ;;
    *:false) ;;
    *)
      printf '::error::the input %s is neither what it should be nor left out\n' "$name"
      exit 2
      ;;
  esac
done

if [ -n "${INPUT_KUBECONFIG-}" ]; then
  folder=$(mktemp --directory "$RUNNER_TEMP/kubeconfig.XXXXXX")
  trap 'rm -rf "$folder"' EXIT
  (umask 077 && printf '%s\n' "$INPUT_KUBECONFIG" >"$folder/config")
  export KUBECONFIG=$folder/config
  unset INPUT_KUBECONFIG
fi

"$program" "${arguments[@]}"
