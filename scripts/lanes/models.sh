# shellcheck shell=bash
# Interleavings, random schedules, random histories, random bytes: what is searched for a counterexample. Sourced by
# scripts/verify.

# The registry's lock in every interleaving, with its planted bug, and castoff's source up to two preemptions: .ci/run's own
# lane. Then up to one more.
lane_loom() {
    .ci/run loom
    LOOM_MAX_PREEMPTIONS=${PREEMPTIONS:-3} scripts/interleavings loom
    plants
    local bug
    for bug in no-fence open-child nobody-woken two-turns end-unheard token-deaf; do
        scripts/planted "$bug" scripts/interleavings loom
    done
}

# Bugs are planted in a copy of this lane's own.
plants() {
    export CASTOFF_PLANTED=$WORK/planted/$LANE/source CASTOFF_PLANTED_TARGET=$WORK/planted/$LANE/target
}

# Random schedules of the same scenarios, more than a million in all.
lane_shuttle() {
    CASTOFF_SCHEDULES=${SCHEDULES:-30000} scripts/interleavings shuttle
    plants
    scripts/planted nobody-woken scripts/interleavings shuttle
}

# Random histories against the two models, more of them than the suite plays: those of the first in two processes at once.
lane_histories() {
    local program halves=()
    program=$(cargo test --quiet -j "$JOBS" --release --features tokio --test it --no-run --message-format json | executable it)
    export CASTOFF_CASES=$((${CASES:-200000} / 2))
    for _ in 1 2; do
        "$program" random_histories &
        halves+=($!)
    done
    for half in "${halves[@]}"; do
        wait "$half"
    done
    CASTOFF_CASES=${STATES:-20000} cargo test --quiet -j "$JOBS" --release --test state_machine
    plants
    scripts/planted deferred-forgotten cargo test --quiet -j "$JOBS" --release --test state_machine
}

# Random bytes as calls, with AddressSanitizer. Stable Rust does, with its flags unlocked. On a copy of the corpus: what is
# found on the way is added to it.
lane_fuzz() {
    cargo_tool cargo-fuzz 0.13.2
    rm -rf "$WORK/corpus"
    cp -r fuzz/corpus/calls "$WORK/corpus"
    RUSTC_BOOTSTRAP=1 cargo fuzz run calls "$WORK/corpus" -- \
        -max_total_time="${FUZZ_SECONDS:-300}" -max_len=512 -len_control=0 -print_final_stats=1
    plants
    # On the corpus that is kept: what it covers is enough for this one.
    RUSTC_BOOTSTRAP=1 scripts/planted deferred-forgotten cargo fuzz run calls fuzz/corpus/calls -- \
        -max_total_time=120 -max_len=512 -len_control=0
}
