# shellcheck shell=bash
# Memory errors, leaks, races, uninitialised memory, and what a signal handler may not do. Sourced by scripts/verify.
#
# All of them run tests/sanitized: castoff's own source and its core tests, with few dependencies.

# Who leaks on purpose, test by test: locks in the lock's own tests live as long as the process, as those of the registry do; a
# payload that panics when it is dropped is forgotten, and that is promised; the helpers of the tests are themselves tested
# with values that are lost. Not by suppressions: they need frames that an optimizer may have left out.
ON_PURPOSE='^(registry::biased::tests::.*'
ON_PURPOSE+='|guard::foreign_code::(a_panic_payload_that_panics_when_it_is_dropped_is_contained'
ON_PURPOSE+='|a_teardown_contains_the_panics_of_what_it_drops)'
ON_PURPOSE+='|support::log::tests::(a_double_drop_fails_even_beside_a_missing_one|a_value_that_was_never_dropped_fails))$'
export ON_PURPOSE

# Sixteen threads that never rest, and a limit of 30 s: instrumented, that is too little where anything else runs.
TOO_MUCH='^leaks::crowd::whatever_lives_all_the_while_is_seen_exactly_once_however_many_come_and_go$'

# Besides, where std is instrumented as well, or all is forty times slower: random and large graphs, plain data of one thread,
# and cleanups that await by the ten thousand, within 30 s.
SLOW="$TOO_MUCH|^graph::tests::(random|size)|^asynchronous::budget::of_many"

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
# threads that others have left behind hide none. What fails without a word of the sanitizer may have had too little time, on
# a machine that is busy: it is tried twice more, and named.
each_alone() {
    local program test list=$LOGS/tests
    for program in "$@"; do
        "$program" --list 2> /dev/null | sed -n 's/: test$//p' | grep -vE "${LEFT_OUT:-$TOO_MUCH}" | while read -r test; do
            printf '%s\n%s\n' "$program" "$test"
        done
    done > "$list"
    export -f alone
    # shellcheck disable=SC2016
    xargs -P "$JOBS" -n 2 bash -c 'alone "$@"' alone < "$list"
    echo "$(($(wc -l < "$list") / 2)) tests, each in a process of its own: 0 reports;" \
        "$(grep -cE "$ON_PURPOSE" "$list") of them leak on purpose"
}

alone() {
    local log=$LOGS/alone-${2//:/_}
    if grep -qE "$ON_PURPOSE" <<< "$2"; then
        export ASAN_OPTIONS=detect_leaks=0 LSAN_OPTIONS=detect_leaks=0
    fi
    for _ in 1 2 3; do
        if timeout 600 "$1" --exact "$2" > "$log" 2>&1; then
            rm "$log"
            return 0
        fi
        ! grep -q Sanitizer "$log" || break
        echo "once more: $2"
    done
    echo "failed: $2"
    grep -E 'SUMMARY|panicked' -A 2 "$log" | head -n 9
    return 1
}

# Sizes of storms and histories that instrumented code has time for: under MemorySanitizer a fifth.
brief() { export CASTOFF_STORM=0.1 CASTOFF_CASES=500; }
briefest() { export CASTOFF_STORM=0.02 CASTOFF_CASES=100; }

# AddressSanitizer, with the leak check that is part of it.
lane_asan() {
    brief
    local all
    mapfile -t all < <(programs address --lib --test it --test fork)
    each_alone "${all[@]}"
    red asan-use-after-free 'heap-use-after-free' planted address uses_memory_after
    red asan-leak 'detected memory leaks' planted address released_value
}

planted() {
    local kind=$1
    shift
    sanitized "$kind" --test planted -- --ignored --test-threads=1 "$@"
}

# LeakSanitizer alone: nothing else is slowed down, so storms have their full size.
lane_lsan() {
    export CASTOFF_CASES=2000
    local all
    mapfile -t all < <(programs leak --lib --test it --test fork)
    each_alone "${all[@]}"
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
    # What tokio's driver hands from thread to thread goes through the kernel's epoll, which ThreadSanitizer does not see.
    printf 'race:tokio::runtime::io::\n' > "$WORK/tokio-io"
    TSAN_OPTIONS="halt_on_error=1 external_symbolizer_path=$DEBIAN_RUST/bin/llvm-symbolizer"
    export TSAN_OPTIONS="$TSAN_OPTIONS suppressions=$WORK/tokio-io"
    export EXTRA='--cfg castoff_unbiased'
    local all LEFT_OUT=$SLOW
    mapfile -t all < <(with_std programs thread -Zbuild-std --lib --test it)
    each_alone "${all[@]}"
    EXTRA='--cfg castoff_unbiased --cfg castoff_planted="race"' SUFFIX=-planted red tsan-race 'ThreadSanitizer: data race' \
        with_std sanitized thread -Zbuild-std --test it storm::races
}

# Without what has a `Footprint` taken: `statx`, by which that looks at descriptors, MemorySanitizer does not know, and takes
# what it has written for unwritten.
lane_msan() {
    briefest
    local footprints='^leaks::((allow|report)::|evidence::a_report_shows|reasons::who_touched_it_last|told::a_leak_is_told_of_once)'
    footprints+='|^leak::footprint::proc::tests::a_file_is_identified'
    debian_rust 1.96
    export MSAN_OPTIONS="external_symbolizer_path=$DEBIAN_RUST/bin/llvm-symbolizer"
    # rustix by the C library, which MemorySanitizer knows: what a bare system call writes it does not see.
    export EXTRA='-Zsanitizer-memory-track-origins --cfg rustix_use_libc'
    local all LEFT_OUT="$SLOW|$footprints"
    mapfile -t all < <(with_std programs memory -Zbuild-std --lib --test it)
    each_alone "${all[@]}"
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
    # All is some forty times slower, and one thread runs at a time: crowds end by their limits.
    export CASTOFF_STORM=0.01 CASTOFF_CASES=50
    printf '{\n %s\n Memcheck:Leak\n match-leak-kinds: definite\n ...\n fun:*%s*\n}\n' \
        locks 'biased*tests' values 'log*tests' forgotten PanicsOnDrop > "$WORK/memcheck-on-purpose"
    local program list=$LOGS/tests
    export WORK
    export -f memchecked memcheck descriptors
    for program in $(plain --lib --test it); do
        "$program" --list | sed -n 's/: test$//p' | grep -vE "$SLOW|^(model|storm|registry::oracle|asynchronous::crowds)::" > "$list"
        # Some at a time: a process takes a second to begin.
        # shellcheck disable=SC2016
        xargs -P "$JOBS" -n 10 bash -c 'memchecked "$@"' memchecked "$program" < "$list"
        echo "$(wc -l < "$list") tests: 0 errors, 0 bytes lost for certain, 0 descriptors left open"
    done
    program=$(plain --test planted)
    red memcheck-use-after-free 'Invalid read of size 8' memcheck "$program" --ignored uses_memory_after
    red memcheck-leak 'definitely lost' memcheck "$program" --ignored released_value
    red memcheck-uninitialised 'Conditional jump or move depends on uninit' memcheck "$program" --ignored decides_by_memory
    red memcheck-descriptor 'left_open' memcheck "$program" --ignored descriptor
}

plain() {
    CARGO_PROFILE_DEV_DEBUG=line-tables-only cargo test --quiet -j "$JOBS" --package castoff-sanitized \
        --target-dir "$WORK/plain" "$@" --no-run --message-format json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

# These tests of a program. Where one fails without a word of memcheck it had too little time, if anything: then each is
# tried alone, and named if that is not enough.
memchecked() {
    local program=$1 said=$LOGS/memchecked-$BASHPID test
    shift
    memcheck "$program" --exact --test-threads=1 "$@" > "$said" 2>&1 && return 0
    if [ $? -ne 101 ]; then
        cat "$said"
        return 1
    fi
    for test in "$@"; do
        memcheck "$program" --exact "$test" > "$said" 2>&1 && continue
        echo "once more: $test"
        memcheck "$program" --exact "$test" > "$said" 2>&1 || { echo "failed: $test" && cat "$said" && return 1; }
    done
}

memcheck() {
    local log=$LOGS/memcheck-$BASHPID
    valgrind --quiet --max-threads=4000 --fair-sched=try --error-exitcode=99 --leak-check=full \
        --errors-for-leak-kinds=definite --show-leak-kinds=definite --track-fds=yes --log-file="$log" \
        --suppressions="$WORK/memcheck-on-purpose" "$@" > "$log.said" 2>&1 || {
        local status=$?
        cat "$log.said"
        head -n 60 "$log"
        return $status
    }
    descriptors "$log" && rm "$log" "$log.said"
}

# A descriptor that was open at the end and came from this program's own code, but for those of castoff's runtimes: they live
# as long as the process.
descriptors() {
    local left
    left=$(sed 's/^==[0-9]*== //' "$1" | awk -v RS= '/^Open file descriptor/ && /castoff|planted|it::/ && !/castoff::(runtime::reactor|testing::shared::runtime)/')
    [ -z "$left" ] || { printf 'descriptors left open:\n%s\n' "$left"; return 1; }
}
