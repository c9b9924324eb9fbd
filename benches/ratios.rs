//! Every ratio that castoff promises, measured in one run against the peers of the other benches, and the bytes that it
//! holds, printed as Markdown tables: `cargo bench --bench ratios`. With `-- --plot` the cost against what is live is drawn
//! besides, in `docs/live.svg`.
//!
//! No harness, because criterion measures one contender after the other: here the contenders of a row take turns, round
//! by round, so that what else the machine does hits them alike. Memory comes first, while nothing has been allocated
//! and kept yet; then counting is switched off for good. Without `--bench`, or with `--test`, everything runs once with
//! small numbers, nothing is written and no time is judged; other arguments mean nothing here.

#[allow(dead_code, reason = "each bench file uses its own part of the measuring")]
mod measure;
#[allow(dead_code, reason = "each bench file uses its own part of the contenders")]
mod peers;
mod rows;

use std::path::Path;

use measure::counting::{self, Counting};
use measure::table::Table;
use peers::walk::{end_if_stuck, measuring};
use rows::plot::Plot;
use rows::{MEASURED, Scale, WALKED, cycle, forms, live, memory, open, pair, teardown};

const PLOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/live.svg");

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        // What a test runner expects of a binary that it asks for its contents.
        println!("ratios: benchmark");
        return;
    }
    if measuring() {
        let (table, plot) = measured(&MEASURED);
        println!("{} cores, {} {}\n", cores(), std::env::consts::OS, std::env::consts::ARCH);
        println!("{table}");
        if std::env::args().any(|argument| argument == "--plot") {
            plot.write(Path::new(PLOT)).expect("the plot can be drawn and written");
        }
    } else {
        end_if_stuck();
        let (_, plot) = measured(&WALKED);
        let drawn = plot.drawn().expect("the plot can be drawn");
        assert!(plot.lines.iter().all(|line| drawn.contains(&escaped(line.name))), "every line has its name");
        println!("ratios: everything ran once; `cargo bench --bench ratios` measures");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// As SVG has it.
fn escaped(name: &str) -> String {
    name.replace('<', "&lt;").replace('>', "&gt;")
}

fn measured(scale: &Scale) -> (Table, Plot) {
    let mut table = Table::default();
    table.section("Bytes");
    counting::count(true);
    memory::bytes_held(&mut table, scale);
    memory::bytes_left(&mut table, scale);
    counting::count(false);
    table.section("Registering and dropping on one thread");
    cycle::register_and_drop_on_one_thread(&mut table, scale);
    forms::other_forms(&mut table, scale);
    forms::scopes(&mut table, scale);
    open::sixteen_open_at_once(&mut table, scale);
    table.section("Registering and dropping on two threads");
    pair::register_and_drop_on_two_threads(&mut table, scale);
    open::dropped_on_another_thread(&mut table, scale);
    table.section("Growing");
    cycle::a_thousand_registrations(&mut table, scale);
    let plot = live::register_and_drop_beside_many(&mut table, scale);
    live::worst_registration(&mut table, scale);
    table.section("Teardown");
    teardown::a_hundred_cleanups(&mut table, scale);
    teardown::teardowns(&mut table, scale);
    teardown::dispatch(&mut table, scale);
    teardown::one_category_of_eight(&mut table, scale);
    (table, plot)
}
