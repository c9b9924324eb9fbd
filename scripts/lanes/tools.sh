# shellcheck shell=bash
# What lanes need to be installed, and how. Sourced by scripts/verify.

# One lane installs at a time: `installing COMMAND`.
installing() {
    (flock 9 && "$@" 9>&-) 9> "$WORK/installing"
}

# What tests of adapters talk to. Where it is missing now they fail, and do not leave themselves out.
services() {
    export CASTOFF_REQUIRE_SERVICES=1
    installing .ci/run install > "$LOGS/services"
}

# Debian's packages, if these commands are not there: `debian strace=strace faketime=faketime`.
debian() {
    installing packages "$@"
}

packages() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" > /dev/null || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" > "$LOGS/apt" 2>&1
}

# A tool of cargo's, built from the Rust registry at this version: `cargo_tool cargo-hack 0.6.45`. Not optimized: it is run
# a few times, and building it is most of what it costs.
cargo_tool() {
    local tools=$WORK/tools
    export PATH=$tools/bin:$PATH
    [ -e "$tools/$1-$2" ] || {
        say "building $1 $2"
        CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 RUSTFLAGS='' \
            cargo install --quiet --locked -j "$JOBS" --root "$tools" --target-dir "$WORK/tools-build" "$1@$2"
        touch "$tools/$1-$2"
    }
}

# Debian's Rust compiler, unpacked and not installed: with the source of its std, its LLVM's tools, and the runtimes of
# sanitizers. The std of a toolchain that rustup installed has neither source nor instrumentation. `debian_rust 1.96` leaves
# its path in DEBIAN_RUST; 1.85 is the oldest that knows edition 2024.
debian_rust() {
    DEBIAN_RUST=$WORK/debian-$1
    installing unpack_rust "$1"
}

unpack_rust() {
    local at=$DEBIAN_RUST packages version llvm
    [ ! -e "$at/complete" ] || return 0
    say "unpacking Debian's rustc $1"
    rm -rf "$at" && mkdir -p "$at/packages" "$at/bin"
    apt-get update -qq
    version=$(apt-cache madison rustc-web | awk -v like="^$1[.]" '$3 ~ like && !found {found = $3} END {print found}')
    [ -n "$version" ] || { echo "Debian here has no rustc-web $1"; return 1; }
    packages=("rustc-web=$version" "libstd-rust-web-$1=$version" "libstd-rust-web-dev=$version")
    llvm=$(apt-cache show "rustc-web=$version" "libstd-rust-web-$1=$version" | sed -n 's/.*\(libllvm[0-9]*\).*/\1/p' | sort -u)
    packages+=("$llvm")
    llvm=${llvm#libllvm}
    if apt-cache show "rust-web-src=$version" > /dev/null 2>&1 && [ "$1" != 1.85 ]; then
        packages+=("rust-web-src=$version" "llvm-$llvm" "libclang-rt-$llvm-dev")
    fi
    (cd "$at/packages" && apt-get -qq download "${packages[@]}" 2> /dev/null)
    local package
    for package in "$at"/packages/*.deb; do
        dpkg -x "$package" "$at"
    done
    rm -r "$at/packages"
    link_rust "$llvm"
    touch "$at/complete"
}

# Commands that find their libraries where they were unpacked, and runtimes under the names that rustc asks for.
link_rust() {
    local at=$DEBIAN_RUST name path
    for path in "$at"/usr/bin/rustc "$at"/usr/bin/rustdoc "$at/usr/lib/llvm-$1/bin"/llvm-{cov,profdata,symbolizer}; do
        [ -e "$path" ] || continue
        name=$at/bin/$(basename "$path")
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/usr/lib/x86_64-linux-gnu exec %s "$@"\n' "$at" "$path" > "$name"
        chmod +x "$name"
    done
    for name in asan lsan msan tsan rtsan; do
        path=$at/usr/lib/llvm-$1/lib/clang/$1/lib/linux/libclang_rt.$name-x86_64.a
        [ ! -e "$path" ] || ln -sf "$path" "$at/usr/lib/rustlib/$TARGET/lib/librustc-stable_rt.$name.a"
    done
}
