//! A guard: what is registered is cleaned when the guard goes, also where a `?` leaves early.
//!
//! `cargo run --example 01_guard`

use std::fs;
use std::path::PathBuf;

use castoff::{ResourceGuard, ResourceManager};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = ResourceManager::new("example");
    let directory = std::env::temp_dir().join(format!("castoff-01-guard-{}", std::process::id()));

    if let Err(error) = job(&manager, directory.clone()) {
        println!("the job left early: {error}");
    }
    println!("is the directory still there? {}", directory.exists());

    // `close` runs the cleanup too, and says how it went.
    let journal = manager.guard("journal", || Err("disk full"));
    if let Err(error) = ResourceGuard::close(journal) {
        println!("{error}");
    }
    println!("resources left: {}", manager.resource_count());
    Ok(())
}

/// Makes a directory, and fails half-way.
fn job(manager: &ResourceManager, directory: PathBuf) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir(&directory)?;
    // The guard shares the value with the cleanup: `scratch` can be used like the path itself.
    let scratch = manager.guard_value("scratch directory", directory, |path| fs::remove_dir_all(path));
    fs::write(scratch.join("half"), "of the work")?;
    println!("working in a directory of its own, resources now: {}", manager.resource_count());
    let _number: u32 = "not a number".parse()?;
    Ok(())
}
