# shellcheck shell=bash
# Memory errors, leaks, races, uninitialised memory, and what a signal handler may not do. Sourced by scripts/verify.
#
# All of them run tests/sanitized: castoff's own source and its core tests, with few dependencies.

# Who leaks on purpose: a payload that panics when it is dropped is forgotten, and that is promised; the helpers of the tests
# are themselves tested with values that are lost.
ON_PURPOSE=(guard::foreign_code::a_panic_payload_that_panics_when_it_is_dropped_is_contained
    guard::foreign_code::a_teardown_contains_the_panics_of_what_it_drops
    support::log::tests::a_double_drop_fails_even_beside_a_missing_one
    support::log::tests::a_value_that_was_never_dropped_fails)

# `sanitized address FLAGS ... -- ARGUMENTS ...`: cargo test with this sanitizer, in a target directory of its own.
sanitized() {
    local kind=$1
    shift
    # Lines are what a report needs; the rest of what debuggers know doubles the time.
    RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=$kind ${EXTRA:-}" CARGO_PROFILE_DEV_DEBUG=line-tables-only \
        cargo test --quiet -j "$JOBS" --package castoff-sanitized --target "$TARGET" --target-dir "$WORK/$kind${SUFFIX:-}" "$@"
}

# The test programs that these arguments build.
programs() {
    sanitized "$@" --no-run --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | sort -u
}

# Each test of these programs in a process of its own, and all that fail are named: so that a leak is that of one test, and
# threads that others have left behind hide none.
each_alone() {
    local program test list=$WORK/logs/tests
    : > "$list"
    for program in "$@"; do
        "$program" --list 2> /dev/null | sed -n 's/: test$//p' | while read -r test; do
            printf '%s\n%s\n' "$program" "$test"
        done >> "$list"
    done
    export WORK
    # shellcheck disable=SC2016
    if ! xargs -P "$JOBS" -n 2 bash -c '
        log=$WORK/logs/alone-${1//:/_}
        if timeout 600 "$0" --exact "$1" > "$log" 2>&1; then rm "$log"; else
            echo "failed: $1"; grep -E "SUMMARY|panicked" "$log" | head -n 3; exit 1; fi' < "$list"; then
        return 1
    fi
    echo "$(($(wc -l < "$list") / 2)) tests, each in a process of its own: 0 reports"
}

# Sizes of storms and histories that instrumented code has time for.
brief() { export CASTOFF_STORM=0.1 CASTOFF_CASES=500; }

# AddressSanitizer, with the leak check that is part of it.
lane_asan() {
    brief
    local all
    mapfile -t all < <(programs address --lib --test it --test fork)
    LSAN_OPTIONS=suppressions=$(leaks_on_purpose) each_alone "${all[@]}"
    red asan-use-after-free 'heap-use-after-free' planted address uses_memory_after
    red asan-leak 'detected memory leaks' planted address released_value
}

planted() {
    local kind=$1
    shift
    sanitized "$kind" --test planted -- --ignored --test-threads=1 "$@"
}

# Locks in the lock's own tests live as long as the process, as those of the registry do.
leaks_on_purpose() {
    local file=$WORK/leaks-on-purpose
    printf 'leak:%s\n' registry::biased::tests foreign_code::PanicsOnDrop "${ON_PURPOSE[@]:2}" > "$file"
    echo "$file"
}

# LeakSanitizer alone: nothing else is slowed down, so storms and histories have their full size.
lane_lsan() {
    local all
    mapfile -t all < <(programs leak --lib --test it --test fork)
    LSAN_OPTIONS=suppressions=$(leaks_on_purpose) each_alone "${all[@]}"
    red lsan-leak 'detected memory leaks' planted leak released_value
}

# With Debian's compiler, whose std has its source: what is not instrumented is not seen.
with_std() {
    debian_rust 1.96
    RUSTC=$DEBIAN_RUST/bin/rustc RUSTDOC=$DEBIAN_RUST/bin/rustdoc "$@"
}

# ThreadSanitizer does not know `membarrier`, which is half of the registry's lock: every lock is a mutex here. The lock
# itself is modelled in tests/loom. Without what ends by a signal: it is not delivered while a thread sleeps.
lane_tsan() {
    brief
    debian_rust 1.96
    export TSAN_OPTIONS="halt_on_error=1 external_symbolizer_path=$DEBIAN_RUST/bin/llvm-symbolizer"
    export EXTRA='--cfg castoff_unbiased'
    with_std sanitized thread -Zbuild-std --lib --test it
    EXTRA='--cfg castoff_unbiased --cfg castoff_planted="race"' SUFFIX=-planted red tsan-race 'ThreadSanitizer: data race' \
        with_std sanitized thread -Zbuild-std --test it storm::races
}

lane_msan() {
    brief
    debian_rust 1.96
    export MSAN_OPTIONS="external_symbolizer_path=$DEBIAN_RUST/bin/llvm-symbolizer"
    export EXTRA=-Zsanitizer-memory-track-origins
    with_std sanitized memory -Zbuild-std --lib --test it
    red msan-uninitialised 'use-of-uninitialized-value' with_std sanitized memory -Zbuild-std --test planted -- \
        --ignored decides_by_memory
}

# RealtimeSanitizer on what runs in the context of a signal: no allocation, no lock, no call that may wait. But for `write` to
# a pipe that never fills, which signal-safety(7) lists.
lane_rtsan() {
    printf 'function-name-matches:^write$\n' > "$WORK/may-write"
    export RTSAN_OPTIONS=suppressions=$WORK/may-write
    EXTRA='--cfg castoff_realtime' realtime
    EXTRA='--cfg castoff_realtime --cfg castoff_planted="allocation"' SUFFIX=-planted red rtsan-allocation \
        'unsafe-library-call.*|Intercepted call to real-time unsafe function `malloc' realtime
}

realtime() {
    sanitized realtime --test signalled -- --nocapture
}

# Memcheck: what was freed, what was never written, what is lost for certain, and which descriptors stay open. Its kernel
# knows no `membarrier`, so locks are mutexes here as well.
lane_valgrind() {
    debian valgrind=valgrind
    # All is some forty times slower, and one thread runs at a time.
    export CASTOFF_STORM=0.01 CASTOFF_CASES=50
    local program
    for program in $(plain --lib --test it); do
        memcheck "$program" --test-threads=2 --skip model:: --skip storm:: "${SLOW[@]}"
    done
    program=$(plain --test planted)
    red memcheck-use-after-free 'Invalid read of size 8' memcheck "$program" --ignored uses_memory_after
    red memcheck-leak 'definitely lost' memcheck "$program" --ignored released_value
    red memcheck-uninitialised 'Conditional jump or move depends on uninit' memcheck "$program" --ignored decides_by_memory
    red memcheck-descriptor 'left_open' memcheck "$program" --ignored descriptor
}

# What measures time, or waits for what takes ten times as long here as they have patience.
SLOW=()

plain() {
    CARGO_PROFILE_DEV_DEBUG=line-tables-only cargo test --quiet -j "$JOBS" --package castoff-sanitized \
        --target-dir "$WORK/plain" "$@" --no-run --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

memcheck() {
    local log
    log=$WORK/logs/memcheck-$(basename "$1")
    printf '{\n %s\n Memcheck:Leak\n match-leak-kinds: definite\n ...\n fun:*%s*\n}\n' \
        locks tests forgotten PanicsOnDrop > "$WORK/memcheck-on-purpose"
    valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite \
        --track-fds=yes --log-file="$log" --suppressions="$WORK/memcheck-on-purpose" "$@" || {
        local status=$?
        head -n 60 "$log"
        return $status
    }
    descriptors "$log"
}

# A descriptor that was open at the end and came from this program's own code.
descriptors() {
    if grep -A 30 'Open file descriptor' "$1" | grep -E 'castoff|planted|it::'; then
        echo "descriptors left open: $1"
        return 1
    fi
    echo "memcheck: 0 errors, 0 bytes lost for certain, 0 descriptors left open"
}
