//! Tests whose footprint is looked at, beside others that open and start things all the time.

use std::cell::RefCell;
use std::fs::File;
use std::mem::forget;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use castoff::ResourceManager;
use castoff::testing::Shared;

static LISTENER: Shared<TcpListener> = Shared::new("listener", &|| TcpListener::bind("127.0.0.1:0"), &|_| ());

macro_rules! busy {
    ($($name:ident)*) => {
        $(
            /// For half a second.
            #[test]
            fn $name() {
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(500) {
                    let _file = File::open("/proc/self/stat").expect("it is there");
                    thread::spawn(|| thread::sleep(Duration::from_millis(5)));
                    thread::sleep(Duration::from_millis(1));
                }
            }
        )*
    };
}

busy! { busy_1 busy_2 busy_3 }

#[castoff::test(footprint)]
fn passes_and_leaves_nothing(manager: &ResourceManager) {
    let _file = File::open("/proc/self/stat").expect("it is there");
    let _table = manager.guard("table", || ());
    println!("it runs in process {}", std::process::id());
    thread::spawn(|| ()).join().expect("it does not panic");
}

#[castoff::test(footprint)]
fn passes_with_a_thread_that_is_about_to_end() {
    thread::spawn(|| thread::sleep(Duration::from_millis(20)));
}

#[castoff::test(footprint)]
fn passes_though_it_is_the_first_to_ask_for_what_is_shared() {
    assert!(LISTENER.local_addr().is_ok());
}

#[castoff::test(footprint, flavor = "multi_thread", worker_threads = 2, deadline = "20s")]
async fn passes_async() -> Result<(), std::io::Error> {
    tokio::task::spawn_blocking(|| ()).await?;
    let _listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    Ok(())
}

thread_local! {
    static TAKEN: RefCell<Vec<File>> = const { RefCell::new(Vec::new()) };
}

/// Of so few as there are. They come back with the end of the test's thread.
#[castoff::test(footprint)]
#[ignore = "it takes all descriptors that there are"]
fn fails_where_it_leaves_no_descriptor_to_look_with() {
    TAKEN.with_borrow_mut(|taken| taken.extend(std::iter::from_fn(|| File::open("/dev/null").ok())));
}

#[castoff::test(footprint)]
fn fails_with_a_descriptor() {
    forget(File::open("/etc/passwd").expect("it is there"));
}

#[castoff::test(footprint)]
fn fails_with_a_thread() {
    let sleep = || thread::sleep(Duration::from_secs(60));
    thread::Builder::new().name("sleeper".into()).spawn(sleep).expect("it can be had");
}

/// It keeps this test's output open.
#[castoff::test(footprint)]
fn fails_with_a_child() {
    Command::new("sleep").arg("20").stdin(Stdio::null()).spawn().expect("it can be started");
}

#[castoff::test(footprint)]
async fn fails_async_with_a_socket() {
    forget(std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free"));
}

#[castoff::test(footprint)]
fn fails_with_a_panic_and_a_descriptor() {
    forget(File::open("/etc/passwd").expect("it is there"));
    panic!("its own panic");
}

#[castoff::test(footprint)]
#[ignore = "to see that it is found all the same"]
fn fails_where_it_is_ignored() {
    forget(File::open("/etc/passwd").expect("it is there"));
}

mod of_a_module {
    #[castoff::test(footprint)]
    fn passes_by_its_whole_name() {}
}

/// What can't be found in a process of its own does not pass.
#[test]
fn passes_as_the_call_of_a_test_from_elsewhere_fails() {
    let elsewhere = thread::Builder::new().name("no test".into()).spawn(passes_and_leaves_nothing);
    let failed = elsewhere.expect("it can be had").join().expect_err("there is no test of that name");
    let message = failed.downcast::<String>().expect("it says why");
    assert!(message.contains("there is no test `no test`"), "{message}");
}
