//! Every ratio that castoff promises, measured in one run against the peers of the other benches, and the bytes that it
//! holds, printed as one Markdown table: `cargo bench --bench ratios`.
//!
//! No harness, because criterion measures one contender after the other: here the contenders of a row take turns, round
//! by round, so that what else the machine does hits them alike. Memory comes first, while nothing has been allocated
//! and kept yet; then counting is switched off for good. Without `--bench`, or with `--test`, everything runs once with
//! small numbers and no time is judged; other arguments mean nothing here.

mod measure;
#[allow(dead_code, reason = "each bench file uses its own part of the contenders")]
mod peers;
mod rows;

use measure::counting::{self, Counting};
use measure::table::Table;
use peers::walk::{end_if_stuck, measuring};
use rows::{MEASURED, Scale, WALKED, cycle, memory, pair, teardown};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        // What a test runner expects of a binary that it asks for its contents.
        println!("ratios: benchmark");
        return;
    }
    if measuring() {
        let table = table(&MEASURED);
        println!("{} cores, {} {}\n", cores(), std::env::consts::OS, std::env::consts::ARCH);
        println!("{table}");
    } else {
        end_if_stuck();
        table(&WALKED);
        println!("ratios: everything ran once; `cargo bench --bench ratios` measures");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn table(scale: &Scale) -> Table {
    let mut table = Table::default();
    counting::count(true);
    memory::bytes_held(&mut table, scale);
    memory::bytes_left(&mut table, scale);
    counting::count(false);
    cycle::register_and_drop_on_one_thread(&mut table, scale);
    pair::register_and_drop_on_two_threads(&mut table, scale);
    cycle::a_thousand_registrations(&mut table, scale);
    teardown::a_hundred_cleanups(&mut table, scale);
    teardown::teardowns(&mut table, scale);
    teardown::dispatch(&mut table, scale);
    teardown::one_category_of_eight(&mut table, scale);
    table
}
