# shellcheck shell=bash
# What it builds with: features, versions of dependencies, compilers. Sourced by scripts/verify.

# What a user builds, in a folder of its own: the library and its macros, without what only tests need.
as_published() {
    local at=$WORK/published
    rm -rf "$at" && mkdir -p "$at"
    cp -r src macros docs README.md Cargo.toml "$at"
    python3 - "$at/Cargo.toml" << 'PYTHON'
import re, sys
path = sys.argv[1]
text = open(path).read()
# From here on there is nothing of the library's own but its lints.
library, rest = text.split("[dev-dependencies]")
lints = rest[rest.index("[lints.rust]"):]
library = re.sub(r"members = \[.*?\]", 'members = ["macros"]', library, flags=re.S)
open(path, "w").write(library + "[lib]\nbench = false\n\n" + lints)
PYTHON
    echo "$at"
}

# Every feature alone, and every two of them: what is missing between two does not show with all of them on.
lane_powerset() {
    cargo_tool cargo-hack 0.6.46
    local at
    at=$(as_published)
    powerset "$at" | tee "$WORK/logs/powerset-sets"
    echo "$(grep -c '^info: running' "$WORK/logs/powerset-sets") sets of features, each checked with warnings as errors"
    printf '#[cfg(all(feature = "metrics", not(feature = "serde")))]\ncompile_error!("one needs the other");\n' >> "$at/src/lib.rs"
    red powerset 'one needs the other' powerset "$at" --include-features metrics,serde
}

powerset() {
    local at=$1
    shift
    (cd "$at" && RUSTFLAGS="-D warnings" cargo hack check --lib --feature-powerset --depth 2 \
        --target-dir "$WORK/powerset" "$@" 2>&1)
}

# The lower bounds of Cargo.toml: each direct dependency at the oldest version that is allowed.
lane_minimal() {
    local at
    at=$(as_published)
    minimal "$at"
    (cd "$at" && cargo tree --quiet --all-features --edges normal --depth 1 --prefix none | sed 's/ (.*//')
    # A bound that is too low.
    sed -i 's/^once_cell = "1.21"/once_cell = "1.0"/; s/^rustix = { version = "1.1"/rustix = { version = "1.0"/' "$at/Cargo.toml"
    red minimal 'error' minimal "$at"
}

minimal() {
    (cd "$1" && RUSTC_BOOTSTRAP=1 cargo update --quiet -Z direct-minimal-versions &&
        cargo check --quiet -j "$JOBS" --lib --all-features --target-dir "$WORK/minimal")
}

# There is no 1.88 among Debian's compilers, and nowhere else that could be trusted. A real 1.85, with what castoff uses of
# what was stabilised since unlocked, has to refuse three names of `std::io::pipe` (1.87) and nothing else: `let` chains are from
# 1.88, `is_multiple_of` from 1.87, `Vec::pop_if` from 1.86. That std has no name newer than `rust-version` is clippy's to say.
lane_msrv() {
    local log=$WORK/logs/msrv-errors
    (cd "$1" && RUSTC=$DEBIAN_RUST/bin/rustc RUSTC_BOOTSTRAP=1 \
        cargo check --quiet -j "$JOBS" --lib --target-dir "$WORK/msrv" > "$log" 2>&1) || :
    "$DEBIAN_RUST/bin/rustc" -V
    grep -E '^error' "$log"
    grep -q 'function .pipe.' "$log" || return 1
    if grep -E '^error' "$log" | grep -vE 'PipeReader|PipeWriter|function .pipe.|could not compile .castoff.'; then
        return 1
    fi
}

# Dependencies that nothing uses.
lane_unused() {
    cargo_tool cargo-machete 0.9.2
    cargo machete
    local at
    at=$(as_published)
    sed -i 's/^scopeguard = .*/&\nfnv = "1"/' "$at/Cargo.toml"
    red unused fnv cargo machete "$at"
}

# Licences, bans and sources. Advisories need a database that only a network has.
lane_deny() {
    cargo_tool cargo-deny 0.20.2
    cargo deny check licenses bans sources
    sed 's/^allow = \[/allow = [] #/' deny.toml > "$WORK/deny.toml"
    red deny 'rejected|error' cargo deny check --config "$WORK/deny.toml" licenses
}
