# shellcheck shell=bash
# What it builds with: features, versions of dependencies, compilers. Sourced by scripts/verify.

# What a user builds, in a folder of its own for each lane: the library and its macros, without what only tests need.
as_published() {
    local at=$WORK/published/$1
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

# No feature, each one, and every two.
lane_powerset() {
    cargo_tool cargo-hack 0.6.46
    local at sets=$LOGS/powerset-sets
    at=$(as_published powerset)
    powerset "$at" --feature-powerset --depth "${DEPTH:-2}" | tee "$sets"
    echo "$(grep -c '^info: running' "$sets") sets of features, each checked with warnings as errors"
    printf '#[cfg(all(feature = "metrics", not(feature = "serde")))]\ncompile_error!("one needs the other");\n' >> "$at/src/lib.rs"
    red powerset 'one needs the other' powerset "$at" --feature-powerset --depth 2 --include-features metrics,serde
}

powerset() {
    local at=$1
    shift
    (cd "$at" && RUSTFLAGS="-D warnings" cargo hack check --lib --target-dir "$WORK/powerset" "$@" 2>&1)
}

# The lower bounds of Cargo.toml: each direct dependency at the oldest version that is allowed. Of all features but `redis`, and
# then of that one: it needs a newer tokio than the rest does.
lane_minimal() {
    local at
    at=$(as_published minimal)
    minimal "$at" "--features redis" 's/^tokio = { version = "[^"]*"/tokio = { version = "1.51"/'
    at=$(as_published minimal)
    local without='/^redis = /d; /^    "redis",$/d'
    minimal "$at" --all-features "$without"
    (cd "$at" && cargo tree --quiet --all-features --edges normal --depth 1 --prefix none | sed 's/ (.*//')
    # A bound that is too low.
    red minimal 'run_until_cancelled' minimal "$at" --all-features \
        "$without"'; s/^tokio-util = { version = "[^"]*"/tokio-util = { version = "0.7.0"/'
}

# `minimal FOLDER FEATURES SCRIPT`: with Cargo.toml changed by this script of sed's.
minimal() {
    sed -i "$3" "$1/Cargo.toml"
    # shellcheck disable=SC2086
    (cd "$1" && RUSTC_BOOTSTRAP=1 cargo update --quiet -Z direct-minimal-versions &&
        cargo check --quiet -j "$JOBS" --lib $2 --target-dir "$WORK/minimal")
}

# There is no 1.88 among Debian's compilers, and nowhere else that could be trusted. A real 1.85, with what castoff uses of
# what was stabilised since unlocked, has to refuse three names of `std::io::pipe` (1.87) and nothing else: `let` chains are from
# 1.88, `is_multiple_of` and `OsStr::display` from 1.87, `Vec::pop_if` from 1.86. That std has no name newer than `rust-version` is clippy's to say.
lane_msrv() {
    debian_rust 1.85
    local at
    at=$(as_published msrv)
    # Dependencies as well have to be for 1.85.
    sed -i 's/^rust-version = .*/rust-version = "1.85"/' "$at/Cargo.toml" "$at/macros/Cargo.toml"
    sed -i '1i #![feature(let_chains, os_str_display, unsigned_is_multiple_of, vec_pop_if)]' "$at/src/lib.rs"
    sed -i '1i #![feature(let_chains)]' "$at/macros/src/lib.rs"
    msrv "$at"
    # From 1.91.
    printf '/// Planted.\npub fn newer() -> std::time::Duration { std::time::Duration::from_mins(1) }\n' >> "$at/src/lib.rs"
    red msrv duration_constructors msrv "$at"
}

msrv() {
    local log=$LOGS/msrv-errors refused='PipeReader|PipeWriter|function .pipe.|could not compile .castoff.'
    (cd "$1" && RUSTC=$DEBIAN_RUST/bin/rustc RUSTC_BOOTSTRAP=1 \
        cargo check --quiet -j "$JOBS" --lib --target-dir "$WORK/msrv" > "$log" 2>&1) || :
    "$DEBIAN_RUST/bin/rustc" -V
    grep -E '^error' "$log" | sort | uniq -c
    grep -q 'function .pipe.' "$log" && ! grep -E '^error' "$log" | grep -vE "$refused"
}

# Dependencies that nothing uses.
lane_unused() {
    cargo_tool cargo-machete 0.9.2
    cargo machete
    local at
    at=$(as_published unused)
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
