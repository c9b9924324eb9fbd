# shellcheck shell=bash
# What is done to castoff from outside. Sourced by scripts/verify.

attacks() {
    cargo test --quiet -j "$JOBS" --package castoff-attacks "$@"
}

# System calls that fail, memory that ends, SIGKILL: at every point of a run. tests/attacks/tests/faults.rs
lane_faults() {
    debian strace=strace faketime=faketime
    attacks --test faults -- --nocapture --test-threads="$JOBS"
    cgroups
}

# A group of processes without room for another thread, and one without memory. Where there are no such groups (they are
# version 1's, and root's), it says so.
cgroups() {
    local victim log status group
    victim=$(victim)
    log=$WORK/logs/cgroup-log
    group=/sys/fs/cgroup/pids/castoff-verify
    if mkdir -p "$group" 2> /dev/null && [ -w "$group/pids.max" ]; then
        for end in return exit teardown; do
            : > "$log"
            status=0
            # Two: the shell that becomes the program, and one that only the kernel counts.
            (echo 2 > "$group/pids.max" && echo "$BASHPID" > "$group/cgroup.procs" &&
                CASTOFF_LOG=$log exec timeout 60 "$victim" "$end" sync) || status=$?
            [ "$status" = "$([ "$end" = exit ] && echo 7 || echo 0)" ] && [ "$(grep -c '^-' "$log")" = 20 ] || {
                echo "pids.max=2, $end: status $status, $(grep -c '^-' "$log") of 20 cleaned"
                return 1
            }
        done
        rmdir "$group"
        echo "pids.max=2: 3 runs, 20 of 20 cleaned in each, and the status kept"
    else
        echo "not run: pids.max; there is no cgroup to write to"
    fi
}

victim() {
    cargo build --quiet -j "$JOBS" --package castoff-attacks --message-format json |
        sed -n 's/.*"executable":"\([^"]*castoff-attacked\)".*/\1/p'
}

lane_load() {
    attacks --release --test load -- --nocapture --test-threads=1
}

# The same, a tenth of each, and as it is built for tests.
lane_load-brief() {
    CASTOFF_LOAD=10 attacks --test load -- --nocapture --test-threads=1
}

# Every way to end, on real processes: the table of docs/reliability.md's first part, and random histories.
# REPS is for the rows of castoff alone.
lane_deaths() {
    debian stress-ng=stress-ng
    cargo build --quiet -j "$JOBS" --release --package castoff-deaths
    say "each way to end, ${REPS:=200} processes"
    REPS=$REPS PEERS=castoff cargo run --quiet --release --package castoff-deaths | tee "$WORK/logs/deaths-table"
    as_promised "$WORK/logs/deaths-table"
    say "the same under load"
    stress-ng --cpu "$JOBS" --vm 1 --vm-bytes 256M --timeout 600s --quiet &
    local load=$!
    REPS=$((REPS / 10)) PEERS=castoff cargo run --quiet --release --package castoff-deaths | tee "$WORK/logs/deaths-load"
    kill "$load"
    wait "$load" || :
    as_promised "$WORK/logs/deaths-load"
    say "2,400 random histories, each ended at a random moment; terminals, nohup, namespaces"
    CASTOFF_EXIT_ROUNDS=2400 cargo test --quiet -j "$JOBS" --all-features --test exit -- --nocapture random outside
}

# A cell that is not all, or two processes that ended in different ways, in a row where all is promised.
as_promised() {
    if grep '^| ' "$1" | grep -vE '^\| (death|a second SIGINT|SIGQUIT|`abort|SIGKILL)' | grep -E '\*\*|times\)|hangs'; then
        echo "not as promised"
        return 1
    fi
}
