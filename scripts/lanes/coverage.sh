# shellcheck shell=bash
# Which lines run, and which changes nobody notices. Sourced by scripts/verify.

# Lines of src and macros that the tests run, those of child processes that end by themselves among them: one that dies by a
# signal writes no profile. Each line that is not run has to be in tests/uncovered.txt, under its reason.
#
# Of castoff's own crates alone: what they depend on is built as ever.
lane_coverage() {
    debian_rust 1.96
    services
    local at=$WORK/coverage tests
    rm -rf "$at/profiles"
    mkdir -p "$at"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nexec "$@" -C instrument-coverage\n' > "$at/rustc"
    chmod +x "$at/rustc"
    tests=(--lib --test={it,fork,adapters,exit,testing,async_process,tracing,metrics,footprint,memory_pressure,init_global,refused})
    export RUSTC_WORKSPACE_WRAPPER=$at/rustc LLVM_PROFILE_FILE=$at/profiles/%8m.profraw CARGO_TARGET_DIR=$at/target
    export CASTOFF_CASES=500 CASTOFF_STORM=0.1 CASTOFF_EXIT_ROUNDS=40
    cargo test --all-features -j "$JOBS" "${tests[@]}" --no-run --message-format json > "$at/messages"
    # What tests/testing starts and compiles, built as it does: with castoffs, and macros, that have fewer features. Anew each
    # time, as macros run in the process that builds.
    local downstream=(--package castoff-downstream --package castoff-renamed)
    cargo clean --quiet "${downstream[@]}"
    cargo test -j "$JOBS" "${downstream[@]}" --test={outcomes,crowd,held,suite,footprint,own_main,renamed} \
        --no-run --message-format json >> "$at/messages"
    cargo check -j "$JOBS" --package castoff --message-format json >> "$at/messages"
    # One that fails had too little time, if anything, which other lanes are for: what it leaves out is told below.
    cargo test --quiet --all-features -j "$JOBS" "${tests[@]}" --no-fail-fast || echo "some failed"
    not_run "$at" > "$LOGS/not-run"
    sed -n 's/^- //p' tests/uncovered.txt | sort > "$at/listed"
    as_listed "$at/listed"
    sed 1d "$at/listed" > "$at/short"
    red coverage '^- ' as_listed "$at/short"
}

# `file: text` of each line that did not run, and as the last line but on stderr how many did. Of tests inside of src
# nothing, and nothing of lines without a word: they belong to the one above.
not_run() {
    local at=$1 objects=()
    "$DEBIAN_RUST/bin/llvm-profdata" merge --sparse --failure-mode=warn "$at"/profiles/*.profraw -o "$at/profile"
    mapfile -t objects < <(instrumented "$at")
    "$DEBIAN_RUST/bin/llvm-cov" export --format=lcov --instr-profile "$at/profile" "${objects[@]/#/--object=}" \
        --sources src macros/src > "$at/lines" 2> "$LOGS/llvm-cov"
    sed -n -e "s|^SF:$PWD/|SF:|p" -e '/^DA:/p' "$at/lines" | awk -F'[:,]' '
        /^SF:/ {
            file = $2; line = 0; inside = ""; delete text; delete test
            while ((getline one < file) > 0) {
                text[++line] = one
                if (one ~ /^#\[cfg\((all\()?test/) inside = "soon"
                if (inside != "") test[line] = 1
                if (inside == "soon" && one ~ /^(pub(\(crate\))? )?mod .*\{$/) inside = "now"
                else if (inside == "soon" && one !~ /^#/) inside = ""
                if (inside == "now" && one == "}") inside = ""
            }
            close(file)
            skip = file ~ /\/(tests|oracle)(\.rs|\/)/
        }
        /^DA:/ && !skip && !test[$2] {
            all++
            if ($3 > 0) { run++; next }
            one = text[$2]; gsub(/^ +| +$/, "", one)
            if (one ~ /[A-Za-z]/ || one ~ /_ =>/) print file ": " one
            else { all-- }
        }
        END { printf "%d of %d lines run: %.2f %%\n", run, all, 100 * run / all > "/dev/stderr" }' | sort
}

# What cargo named, test programs and macros, and what tests/exit starts. Not what else lies there: that is of an older source.
instrumented() {
    sed -n -e 's/.*"executable":"\([^"]*\)".*/\1/p' -e 's/.*"\([^"]*libcastoff_macros[^"]*\.so\)".*/\1/p' "$1/messages" | sort -u
    find "$1/target/debug" "$1/target/abort" -maxdepth 1 -type f -name 'castoff-*' -executable 2> /dev/null
}

# Whether the lines that did not run are those of this list: each line of a difference says which.
as_listed() {
    local new gone
    new=$(comm -23 "$LOGS/not-run" "$1") gone=$(comm -13 "$LOGS/not-run" "$1")
    [ -z "$gone" ] || printf 'listed, and run:\n%s\n' "$gone"
    [ -z "$new" ] || { printf 'not run, and not in tests/uncovered.txt:\n'; sed 's/^/- /' <<< "$new"; return 1; }
    echo "$(wc -l < "$LOGS/not-run") lines not run, and all of them listed with their reason"
}

# Changes to the core that no test notices. cargo-mutants lists them; all of them are built at once (see tests/mutants), and
# each is tried with the tests that reach it. SECONDS_FOR_MUTANTS ends it early: the order is mixed.
lane_mutants() {
    cargo_tool cargo-mutants 27.1.0
    local at=$WORK/mutants tree=$WORK/mutants/tree tool=$WORK/mutants/tool programs part files=(--file src/guard.rs)
    for part in registry graph teardown leak exit; do
        files+=(--file "src/$part/**/*.rs")
    done
    rm -rf "$tree" && mkdir -p "$tree"
    git ls-files -co --exclude-standard | tar -cf - -T - | tar -xf - -C "$tree"
    cargo mutants --no-config --list --json "${files[@]}" > "$tree/mutants.json"
    cargo build --quiet -j "$JOBS" --manifest-path tests/mutants/Cargo.toml --target-dir "$tool"
    for part in refused.rs memory_pressure.rs footprint/main.rs exit/main.rs; do
        printf '\n[[test]]\nname = "%s"\npath = "../%s"\n' "${part%%[./]*}" $part >> "$tree/tests/sanitized/Cargo.toml"
    done
    export CARGO_TARGET_DIR=$at/target CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=1
    "$tool/debug/castoff-mutants" plant "$tree" "$tree/mutants.json"
    mapfile -t programs < <(mutated)
    # What tests/exit starts: else each of its tests, which run by themselves here, would ask cargo for it.
    (cd "$tree" && cargo build --quiet --locked -j "$JOBS" --package castoff-victim)
    (cd "$tree" && cargo build --quiet --locked -j "$JOBS" --package castoff-victim --profile abort --no-default-features)
    export CASTOFF_VICTIMS=$CARGO_TARGET_DIR
    export CASTOFF_CASES=100 CASTOFF_STORM=0.05 CASTOFF_EXIT_ROUNDS=10
    "$tool/debug/castoff-mutants" run "$tree" "${programs[@]}"
    export SECONDS_FOR_MUTANTS=20
    LEAST=100 red mutants ' missed' "$tool/debug/castoff-mutants" run "$tree" "${programs[@]}"
}

# The test programs, in the order in which they are tried.
mutated() {
    (cd "$tree" && cargo test -j "$JOBS" --package castoff-sanitized --lib --test={it,fork,refused,memory_pressure,footprint,exit} \
        --no-run --message-format json) 2> "$LOGS/mutants-build" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' > "$at/programs"
    local name
    for name in castoff it fork refused memory_pressure footprint exit; do
        grep "/$name-[^/]*$" "$at/programs"
    done
}
