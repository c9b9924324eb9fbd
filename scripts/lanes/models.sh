# shellcheck shell=bash
# Interleavings, random schedules, random histories, random bytes: what is searched for a counterexample. Sourced by
# scripts/verify.

# The registry's lock in every interleaving: .ci/run's own lane, with its planted bug. Then the scenarios.
lane_loom() {
    .ci/run loom
    interleavings loom
}

# Random schedules of the same scenarios.
lane_shuttle() {
    CASTOFF_SCHEDULES=${SCHEDULES:-30000} interleavings shuttle
}

interleavings() {
    [ -x scripts/interleavings ] || { echo "scripts/interleavings is not there: no scenarios"; return; }
    scripts/interleavings "$@"
}

# Random histories against the naive model, more of them than the suite plays.
lane_histories() {
    CASTOFF_CASES=${CASES:-100000} cargo test --quiet -j "$JOBS" --release --test it -- --nocapture model::
}

# Random bytes as calls, with AddressSanitizer. Stable Rust does, with its flags unlocked.
lane_fuzz() {
    [ -e fuzz/Cargo.toml ] || { echo "fuzz/ is not there: nothing to run"; return; }
    cargo_tool cargo-fuzz 0.13.2
    RUSTC_BOOTSTRAP=1 cargo fuzz run calls -- -max_total_time="${FUZZ_SECONDS:-300}" -print_final_stats=1
}
