# shellcheck shell=bash
# Which lines run, and which changes nobody notices. Sourced by scripts/verify.

# Lines of src and macros that the tests run, those of child processes that end by themselves among them: one that dies by a
# signal writes no profile.
lane_coverage() {
    debian_rust 1.96
    cargo_tool cargo-llvm-cov 0.9.2
    export LLVM_COV=$DEBIAN_RUST/bin/llvm-cov LLVM_PROFDATA=$DEBIAN_RUST/bin/llvm-profdata
    local cov=(cargo llvm-cov --quiet --target-dir "$WORK/coverage" --ignore-filename-regex '(tests|benches|examples)/')
    CASTOFF_CASES=500 CASTOFF_STORM=0.1 CASTOFF_EXIT_ROUNDS=40 "${cov[@]}" --all-features --no-report -j "$JOBS" \
        --lib --test it --test fork --test adapters --test exit --test testing --test async_process --test tracing \
        --test metrics --test footprint --test memory_pressure --test init_global
    "${cov[@]}" report --summary-only | tee "$WORK/logs/coverage-files" | grep -E '^(Filename|TOTAL)'
    say "files with most lines that were not run"
    # Columns: file, regions (3), functions (3), lines, missed lines, per cent.
    awk '/\.rs/ {print $9, "of", $8, "lines not run:", $1}' "$WORK/logs/coverage-files" | sort -rn | head -n 15
    "${cov[@]}" report --fail-under-lines "${LINES_AT_LEAST:-90}" --summary-only > /dev/null
    red coverage '' "${cov[@]}" report --fail-under-lines 100 --summary-only
}

# Changes to the source that no test notices. MUTATE says where: the graph unless told otherwise.
lane_mutants() {
    cargo_tool cargo-mutants 27.1.0
    local where=${MUTATE:-src/graph/**/*.rs}
    CASTOFF_CASES=500 CASTOFF_STORM=0.1 cargo mutants --no-shuffle -j "$JOBS" --file "$where" --output "$WORK/mutants" \
        --timeout 120 --build-timeout 300 ${SHARD:+--shard "$SHARD"} -- --lib --test it -- --skip storm:: || [ $? -eq 2 ]
    wc -l "$WORK"/mutants/mutants.out/{caught,missed,timeout,unviable}.txt
    cat "$WORK/mutants/mutants.out/missed.txt"
}
