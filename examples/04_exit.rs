//! Ctrl-C cleans up: guards, exit hooks, and a main that waits to be asked to end.
//!
//! Press Ctrl-C, or send SIGTERM: the worker stops, the server goes, then the pool, and the shell sees that the
//! program died by that signal. A second Ctrl-C would not wait for any of it.

use std::error::Error;
use std::thread;
use std::time::Duration;

use castoff::{ExitOptions, ResourceManager};

fn main() -> Result<(), Box<dyn Error>> {
    let manager = ResourceManager::new("shop");
    let options = ExitOptions::default().deadline(Duration::from_secs(5));
    // Until the process ends: as a local of main they would be gone before it does.
    manager.install_exit_hooks(options)?.forget();

    let pool = manager.guard("pool", || println!("pool closed"));
    let _server = manager.resource("server").depends_on(&pool).guard(|| println!("server stopped"))?;

    let token = manager.shutdown_requested();
    let worker = thread::spawn(move || {
        let mut jobs = 0;
        while !token.wait_timeout(Duration::from_millis(100)) {
            jobs += 1;
        }
        println!("worker stopped after {jobs} jobs");
    });
    let _worker =
        manager.resource("worker").guard(move || worker.join().map_err(|_| "the worker panicked"))?;

    println!("press Ctrl-C");
    manager.shutdown_requested().wait();
    // From here on main races with the end of the process: it has nothing more to do.
    Ok(())
}
