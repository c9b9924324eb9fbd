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
    local victim
    victim=$(victim)
    if group pids pids.max; then
        few_threads "$victim"
        rmdir "$GROUP"
    fi
    if group memory memory.limit_in_bytes; then
        little_memory "$victim"
        attacked_with twice
        red memory-twice 'cleaned twice' little_memory "$victim"
        rmdir "$GROUP"
    fi
}

# `group CONTROLLER FILE`: whether there is a group of ours with this file to write to. Its folder is left in GROUP.
group() {
    GROUP=/sys/fs/cgroup/$1/castoff-verify
    mkdir -p "$GROUP" 2> /dev/null && [ -w "$GROUP/$2" ] && return
    echo "not run: $2; there is no cgroup to write to"
    return 1
}

# `grouped LIMITS EXPECTED VICTIM END KIND`: runs the victim in the group, under these limits of a shell's, and leaves its log.
# It has to end with this status, with nothing cleaned twice and nothing before what needs it.
grouped() {
    local status=0 wrong
    LOG=$LOGS/cgroup-log
    : > "$LOG"
    # In braces: bash says on its own stderr what was killed.
    {
        (echo "$BASHPID" > "$GROUP/cgroup.procs" && eval "$1" && CASTOFF_LOG=$LOG exec timeout 60 "${@:3}") || status=$?
    } 2> "$LOG-stderr"
    wrong=$(wrong "$LOG")
    [ "$status" = "$2" ] && [ -z "$wrong" ] || {
        echo "${*:4}: status $status instead of $2; $wrong"
        cat "$LOG" "$LOG-stderr"
        return 1
    }
}

# Resource n needs resource n/2.
wrong() {
    awk '/^-/ {
        n = substr($0, 2) + 0
        if (n in cleaned) print n " was cleaned twice"
        cleaned[n] = 1
        for (m = 2 * n; m <= 2 * n + 1; m++)
            if (m > n && m < 20 && !(m in cleaned)) print n " was cleaned before " m ", which needs it"
    }' "$1"
}

cleaned() { grep -c '^-' "$LOG" || :; }

all_cleaned() { [ "$(cleaned)" = 20 ] || { echo "$1: $(cleaned) of 20 cleaned"; return 1; }; }

# Two: the program's first thread, and one helper.
few_threads() {
    local end expected
    for end in return exit teardown; do
        expected=0
        [ "$end" != exit ] || expected=7
        grouped 'echo 2 > "$GROUP/pids.max"' "$expected" "$1" "$end" sync
        all_cleaned "pids.max=2, $end"
    done
    echo "pids.max=2: 3 runs, 20 of 20 cleaned in each, and the status kept"
}

# 48 MiB: enough for all that ends without taking more. What takes more is killed (128 + 9), and nothing is promised then but
# that what was cleaned was cleaned once and in order. With less address space than that an allocation fails first.
little_memory() {
    local end kind expected runs=0 killed=0
    echo $((48 << 20)) > "$GROUP/memory.limit_in_bytes"
    for kind in sync async; do
        for end in return exit signal teardown; do
            expected=0
            [ "$end" != exit ] || expected=7
            [ "$end" != signal ] || expected=143
            grouped true "$expected" "$1" "$end" "$kind" && all_cleaned "48 MiB, $end $kind" || return 1
            runs=$((runs + 1))
        done
        for end in hog hog-cleaning; do
            grouped true 137 "$1" "$end" "$kind" && [ "$(cleaned)" -lt 20 ] || return 1
            killed=$((killed + 1))
            echo 2G > "$GROUP/memory.limit_in_bytes"
            grouped 'ulimit -v 300000' 0 "$1" "$end" "$kind" && grep -q '^!' "$LOG" && all_cleaned "refused, $end $kind" ||
                return 1
            echo $((48 << 20)) > "$GROUP/memory.limit_in_bytes"
            runs=$((runs + 1))
        done
    done
    echo "memory.limit_in_bytes=48M: $runs runs that stay below it or are refused memory, 20 of 20 cleaned in each;" \
        "$killed killed for memory, with status 137, 0 twice, 0 early"
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

# Every way to end with every kind of cleanup, as it is and while everything is busy. Then what the suite does with ends from
# outside, more often: terminals, `nohup`, namespaces, and histories that end at a random moment.
lane_deaths() {
    debian stress-ng=stress-ng
    local reps=${REPS:-200} load
    matrix "$reps"
    stress-ng --cpu "$JOBS" --vm 1 --vm-bytes 256M --timeout 600s --quiet &
    load=$!
    say "the same, while stress-ng runs"
    matrix $((reps / 20 + 1))
    kill "$load"
    CASTOFF_EXIT_ROUNDS=$((reps * 2)) cargo test --quiet -j "$JOBS" --all-features --test exit -- --nocapture random outside
    # What is needed is not said.
    cargo rustc --quiet -j "$JOBS" --release --package castoff-deaths --bin castoff-deaths -- --cfg 'castoff_planted="order"'
    red deaths 'in the wrong order' env REPS=1 "$(target)/release/castoff-deaths" matrix
}

# The same twice each, for .ci/run.
lane_deaths-brief() {
    matrix 2
}

# What they clean lies in memory where it can: the disk is not what is tried here, and would be most of what it takes.
matrix() {
    [ ! -w /dev/shm ] || local -x TMPDIR=/dev/shm
    REPS=$1 cargo run --quiet -j "$JOBS" --release --package castoff-deaths -- matrix
}

target() { echo "${CARGO_TARGET_DIR:-target}"; }
