//! A small test suite: a server that all tests share, a directory for each test, and a check of what the code under test
//! leaves to the operating system.
//!
//! `cargo test --example 05_tests` runs it. With `-- --ignored` it shows how a test fails that leaks.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::{io, thread};

/// The code under test: asks the clerk for the number of an order.
fn place(clerk: SocketAddr, order: &str) -> io::Result<u32> {
    let mut stream = TcpStream::connect(clerk)?;
    writeln!(stream, "{order}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    answer.trim().parse().map_err(io::Error::other)
}

/// What it talks to: a server that numbers orders, until it is sent an empty line.
fn serve(listener: TcpListener) -> io::Result<()> {
    for number in 1_u32.. {
        let (stream, _) = listener.accept()?;
        let mut order = String::new();
        BufReader::new(&stream).read_line(&mut order)?;
        if order.trim().is_empty() {
            break;
        }
        writeln!(&stream, "{number}")?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let clerk = thread::spawn(|| serve(listener));
    println!("order {}: a rope", place(address, "a rope")?);
    println!("the tests are run by `cargo test --example 05_tests`");
    writeln!(TcpStream::connect(address)?)?;
    clerk.join().map_err(|_| io::Error::other("the clerk panicked"))?
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::{Mutex, PoisonError};
    use std::thread::JoinHandle;

    use castoff::testing::Shared;
    use castoff::{Category, ResourceManager};

    use super::*;

    struct Clerk {
        address: SocketAddr,
        thread: Mutex<Option<JoinHandle<io::Result<()>>>>,
    }

    /// Started by the first test that talks to it, stopped when the tests are over.
    static CLERK: Shared<Clerk> =
        Shared::new("clerk", &Clerk::start, &Clerk::stop).category(Category::Network);

    impl Clerk {
        fn start() -> io::Result<Clerk> {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let thread = thread::Builder::new().name("clerk".into()).spawn(|| serve(listener))?;
            Ok(Clerk { address, thread: Mutex::new(Some(thread)) })
        }

        fn stop(&self) -> io::Result<()> {
            writeln!(TcpStream::connect(self.address)?)?;
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            let ended = thread.map(JoinHandle::join).transpose();
            ended.map_err(|_| io::Error::other("the clerk panicked"))?.unwrap_or(Ok(()))
        }
    }

    /// A directory that goes with the test, pass or fail.
    fn directory(manager: &ResourceManager) -> io::Result<castoff::ResourceGuard<tempfile::TempDir>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().to_owned();
        let cleanup = castoff::Cleanup::sync(move || fs::remove_dir_all(path));
        manager
            .resource("directory")
            .category(Category::File)
            .keep(directory, cleanup)
            .map_err(io::Error::other)
    }

    #[castoff::test]
    fn an_order_gets_a_number() -> io::Result<()> {
        assert!(place(CLERK.address, "a rope")? > 0);
        Ok(())
    }

    #[castoff::test]
    fn a_number_is_given_once(manager: &ResourceManager) -> io::Result<()> {
        let directory = directory(manager)?;
        for order in ["a rope", "an anchor"] {
            fs::write(directory.path().join(place(CLERK.address, order)?.to_string()), order)?;
        }
        assert_eq!(fs::read_dir(directory.path())?.count(), 2);
        Ok(())
    }

    /// No socket stays open, no thread runs on. Of the clerk, which is shared, nothing is said.
    #[cfg_attr(target_os = "linux", castoff::test(footprint))]
    #[cfg_attr(not(target_os = "linux"), castoff::test)]
    fn an_order_leaves_nothing_open() -> io::Result<()> {
        place(CLERK.address, "a lantern").map(drop)
    }

    #[castoff::test]
    #[ignore = "it leaks, to show how that fails"]
    fn a_directory_is_forgotten(manager: &ResourceManager) -> io::Result<()> {
        std::mem::forget(directory(manager)?);
        Ok(())
    }
}
