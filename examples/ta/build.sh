#!/bin/sh
# Builds the example TAs: those in C with clang and wasm-ld, the one in Rust where there is a toolchain for it
# (`rustup target add wasm32v1-none`, or Debian's rustc-web, cargo-web and rust-web-src).
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
build vault "$here/vault/vault.c"
build template-c "$here/../../sdk/templates/c/ta.c"

# The TA in Rust.
hello=$here/hello-rust
target=${CARGO_TARGET_DIR:-$hello/target}/ta
if [ -d "$(rustc --print target-libdir --target wasm32v1-none 2>/dev/null || true)" ]; then
    (cd "$hello" && cargo build -q --release --locked --target wasm32v1-none --target-dir "$target")
elif [ -d /usr/lib/rust-web ] || dpkg -s rust-web-src >/dev/null 2>&1; then
    (cd "$hello" && env PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
        CARGO_TARGET_WASM32V1_NONE_LINKER="$(command -v wasm-ld)" /usr/bin/cargo build -q -Zbuild-std=core \
        --release --locked --target wasm32v1-none --target-dir "$target")
else
    echo "build.sh: no Rust for wasm32v1-none; hello.wasm stays the committed one" >&2
    [ "$out/hello.wasm" -ef "$here/built/hello.wasm" ] || cp "$here/built/hello.wasm" "$out/hello.wasm"
    exit 0
fi
cp "$target/wasm32v1-none/release/hello.wasm" "$out/hello.wasm"
echo "$out/hello.wasm: $(wc -c <"$out/hello.wasm") bytes"
