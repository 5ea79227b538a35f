#!/bin/sh
# Builds the example TAs written in C with clang and wasm-ld.
#
#   examples/ta/build.sh [DIR]     into DIR (default: examples/ta/built, the artefacts that are committed)
#
# The tests of the runtime use the committed artefacts, or those in TAMARACK_TA_DIR if that is set.
# SPDX-License-Identifier: Apache-2.0 OR MIT
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/built}
sdk=$here/../../sdk/c

if ! command -v clang >/dev/null || ! command -v wasm-ld >/dev/null; then
    echo "build.sh: installing clang and lld with apt-get" >&2
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get -o DPkg::Lock::Timeout=300 update -q >&2 || $sudo apt-get -o DPkg::Lock::Timeout=300 update -q >&2
    $sudo apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends clang lld >&2
fi

# build NAME SOURCE [FLAG...]
build() {
    name=$1 source=$2
    shift 2
    clang --target=wasm32 -std=c11 -Oz -ffreestanding -fno-builtin -nostdlib -Wall -Wextra -Werror "$@" \
        -I "$sdk" -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=16384 -Wl,--stack-first \
        -o "$out/$name.wasm" "$source" "$sdk/runtime.c"
    echo "$out/$name.wasm: $(wc -c <"$out/$name.wasm") bytes"
}

mkdir -p "$out"
build wallet-v1 "$here/wallet/wallet.c" -DWALLET_VERSION=1
build wallet-v2 "$here/wallet/wallet.c" -DWALLET_VERSION=2
build valve "$here/valve/valve.c"
