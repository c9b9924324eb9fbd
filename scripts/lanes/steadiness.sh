# shellcheck shell=bash
# The suite under castoff's own leak detector, and again and again. Sourced by scripts/verify.

# Every test program with the detector's most severe setting: what the end of a process finds is printed, and none may be.
# Where a test leaks on purpose it is a program of its own that does, and says so to its test and not to this log.
lane_leaks() {
    services
    local log=$LOGS/detector
    local tests=(--lib --test it --test fork --test adapters --test tracing --test metrics)
    # One is left out: it says itself how severe the detector is, and here somebody else does.
    CASTOFF_LEAKS=fail cargo test -j "$JOBS" --all-features "${tests[@]}" -- --nocapture \
        --skip the_configuration_around_a_test_says_how_severe_it_is > "$log" 2>&1 || { tail -n 60 "$log"; return 1; }
    report_leaks "$log"
    red detector '1 reports of leaks' leaky "$LOGS/planted-report"
}

# A program that forgets a guard, and its report.
leaky() {
    CASTOFF_LEAKS=fail CASTOFF_LOG=$(mktemp) cargo run --quiet -j "$JOBS" --package castoff-victim leaks > "$1" 2>&1
    report_leaks "$1"
}

# But for those of tests that forget a guard to see what becomes of it: the tests of the tool for tests.
report_leaks() {
    local found
    found=$(grep -E '^castoff: .*[0-9]+ leaks? in' "$1" | grep -vF 'in `testing::' || :)
    [ -z "$found" ] || sort <<< "$found" | uniq -c | head -n 20
    found=$(grep -c . <<< "$found" || :)
    echo "$(grep -E '^test result' "$1" | awk '{sum += $4} END {print sum}') tests, $found reports of leaks"
    [ "$found" -eq 0 ]
}

# The core's tests so often, each run in a fresh process, beside another one: a single failure is one too many.
lane_flakes() {
    local rounds=${ROUNDS:-50} program programs
    mapfile -t programs < <(cargo test --quiet -j "$JOBS" --release --lib --test it --test fork --no-run --message-format json |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
    export CASTOFF_CASES=200 CASTOFF_STORM=0.1
    for program in "${programs[@]}"; do
        again "$rounds" "$program"
    done
    red flake 'failed: 1 of|failed: [0-9]+ of' again 40 "$(flaky)"
}

# `again TIMES PROGRAM`: what a run leaves behind counts as a failure, too.
again() {
    # shellcheck disable=SC2016
    seq "$1" | xargs -P "$JOBS" -I{} bash -c '
        log=$LOGS/again-{}
        timeout 600 "$0" --quiet > "$log" 2>&1 && rm "$log" || echo "failed: $log"' "$2" > "$LOGS/again-failed"
    local failed
    failed=$(wc -l < "$LOGS/again-failed")
    echo "$(basename "$2"): failed: $failed of $1"
    [ "$failed" -eq 0 ] || { cat "$LOGS/again-failed"; return 1; }
}

# A program that fails now and then: by chance, one time of four.
flaky() {
    # shellcheck disable=SC2016
    printf '#!/bin/bash\n[ $((RANDOM %% 4)) -gt 0 ]\n' > "$WORK/flaky"
    chmod +x "$WORK/flaky"
    echo "$WORK/flaky"
}
