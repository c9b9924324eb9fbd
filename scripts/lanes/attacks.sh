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
    local program
    program=$(attacks --test faults --no-run --message-format json | executable faults)
    # Only what is attacked has the bug; the tests are what they were.
    attacked_with order
    red faults-order 'was cleaned before' "$program" killed_at_any
    attacked_with twice
    red faults-twice 'was cleaned twice' "$program" killed_at_any
}

# Which test program of this name cargo says that it has built.
executable() {
    sed -n 's/.*"executable":"\([^"]*deps.'"$1"'-[^"]*\)".*/\1/p'
}

attacked_with() {
    cargo rustc --quiet -j "$JOBS" --package castoff-attacks --bin castoff-attacked -- --cfg "castoff_planted=\"$1\""
}

# A group of processes without room for another thread, and one without memory. Where there are no such groups (they are
# version 1's, and root's), it says so.
cgroups() {
    local victim log status group expected
    victim=$(victim)
    log=$WORK/logs/cgroup-log
    group=/sys/fs/cgroup/pids/castoff-verify
    if mkdir -p "$group" 2> /dev/null && [ -w "$group/pids.max" ]; then
        for end in return exit teardown; do
            : > "$log"
            status=0
            # Two: the program's first thread, and one helper.
            (echo 2 > "$group/pids.max" && echo "$BASHPID" > "$group/cgroup.procs" &&
                CASTOFF_LOG=$log exec timeout 60 "$victim" "$end" sync) || status=$?
            expected=0
            [ "$end" != exit ] || expected=7
            if [ "$status $(grep -c '^-' "$log")" != "$expected 20" ]; then
                echo "pids.max=2, $end: status $status, $(grep -c '^-' "$log") of 20 cleaned"
                return 1
            fi
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
    local program
    program=$(cargo rustc --quiet -j "$JOBS" --package castoff-attacks --test load --message-format json \
        -- --cfg 'castoff_planted="twice"' | executable load)
    CASTOFF_LOAD=100 red load-twice '1 twice' "$program" --nocapture ten_million
}

# Every way to end, on real processes of castoff's alone, as they are and while everything is busy. Then what the suite
# does with ends from outside, more often: terminals, `nohup`, namespaces, and histories that end at a random moment.
lane_deaths() {
    debian stress-ng=stress-ng
    cargo build --quiet -j "$JOBS" --release --package castoff-deaths
    local reps=${REPS:-200} load
    deaths castoff "$reps"
    stress-ng --cpu "$JOBS" --vm 1 --vm-bytes 256M --timeout 600s --quiet &
    load=$!
    say "the same, while stress-ng runs"
    deaths castoff $((reps / 10 + 1))
    kill "$load"
    CASTOFF_EXIT_ROUNDS=$((reps * 10)) cargo test --quiet -j "$JOBS" --all-features --test exit -- --nocapture random outside
    # It promises drops alone, and signals run none.
    red deaths 'not as promised' deaths scopeguard 1
}

deaths() {
    local table=$WORK/logs/deaths-$1
    PEER=$1 REPS=$2 cargo run --quiet --release --package castoff-deaths | tee "$table"
    as_promised "$table"
}

# Whether each cell is all, and all processes in it ended in the same way, in the rows where that is promised.
as_promised() {
    # shellcheck disable=SC2016
    if grep '^| ' "$1" | grep -vE '^\| (death|a second SIGINT|SIGQUIT|`abort|SIGKILL)' | grep -E '\*\*|times\)|hangs for'; then
        echo "not as promised"
        return 1
    fi
}
