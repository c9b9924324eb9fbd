//! Looking for leaks among a million that live, against a bare walk over a `Vec` of the same entries, and for how long
//! that holds up registrations: `cargo bench --bench scan`.
//!
//! Prints a table as the bench `ratios` does, by the same rules.

#[allow(dead_code, reason = "each bench file uses its own part of the measuring")]
mod measure;
#[allow(dead_code, reason = "each bench file uses its own part of the contenders")]
mod peers;
#[allow(dead_code, reason = "these are the rows of another bench, too")]
mod rows;

use measure::table::Table;
use peers::walk::{end_if_stuck, measuring};
use rows::{MEASURED, Scale, WALKED, scan};

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        println!("scan: benchmark");
        return;
    }
    if measuring() {
        println!("{} cores, {} {}\n", cores(), std::env::consts::OS, std::env::consts::ARCH);
        println!("{}", table(&MEASURED));
    } else {
        end_if_stuck();
        table(&WALKED);
        println!("scan: everything ran once; `cargo bench --bench scan` measures");
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn table(scale: &Scale) -> Table {
    let mut table = Table::default();
    table.section("Looking at very many");
    scan::a_scan_that_finds_nothing(&mut table, scale);
    scan::registrations_meanwhile(&mut table, scale);
    table
}
