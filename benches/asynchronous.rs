//! Asynchronous cleanups that take their time, torn down concurrently: a hundred pools that close in 100 ms, 10,000 that
//! sleep for a millisecond, a thousand at once, and 100,000, all at once: `cargo bench --features tokio --bench asynchronous`.
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
use rows::{MEASURED, Scale, WALKED, fan_out};

fn main() {
    if std::env::args().any(|argument| argument == "--list") {
        println!("asynchronous: benchmark");
        return;
    }
    if measuring() {
        println!("{} cores, {} {}\n", cores(), std::env::consts::OS, std::env::consts::ARCH);
        println!("{}", table(&MEASURED));
    } else {
        end_if_stuck();
        table(&WALKED);
        println!(
            "asynchronous: everything ran once; `cargo bench --features tokio --bench asynchronous` measures"
        );
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn table(scale: &Scale) -> Table {
    let mut table = Table::default();
    table.section("Cleanups that await");
    fan_out::crowds(&mut table, scale);
    table
}
