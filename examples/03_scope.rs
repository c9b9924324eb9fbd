//! Scopes: what a block registers ends with the block, even what it forgot, failed to clean, or left in a panic.
//!
//! `cargo run --example 03_scope`

use std::panic;

use castoff::ResourceManager;

fn main() {
    let manager = ResourceManager::new("server");

    let (answer, report) = manager.scope("request 1", |request| {
        let _buffer = request.guard("buffer", || println!("  buffer given back"));
        // Nobody will ever drop this one.
        std::mem::forget(request.guard("upload", || println!("  upload removed")));
        helper();
        "200 OK"
    });
    println!("request 1: {answer}\n\n{report}");

    let outcome = panic::catch_unwind(|| {
        manager.scope("request 2", |request| {
            std::mem::forget(request.guard("upload", || println!("  upload removed all the same")));
            panic!("no such order");
        })
    });
    println!("request 2 panicked: {}, resources left: {}", outcome.is_err(), manager.resource_count());
}

/// Code that is not handed the scope's manager asks for it.
fn helper() {
    let session = ResourceManager::current().guard("session", || Err("the peer had gone"));
    std::mem::forget(session);
}
