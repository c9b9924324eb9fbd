//! The traffic of the office: reports are asked for, a viewer sees them, visitors read, and two want to know how things
//! stand.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use castoff::ResourceManager;
use signal_hook::consts::SIGUSR1;
use signal_hook::low_level::raise;

use crate::Result;
use crate::checklist::{Checklist, Finding};
use crate::http_client::connect;
use crate::leftovers::eventually;
use crate::office::{Office, clerks};
use crate::stack::Stack;

const REPORTS: u64 = 5;
/// More than the reading room has connections.
const VISITORS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(manager: &ResourceManager, stack: &Stack, checklist: &mut Checklist) -> Result<()> {
    let start = Instant::now();
    let office = &stack.office;
    let (told, report) = manager.scope("visit", |scope| {
        let viewer = scope.adopt(connect(office.windows.address)?);
        let mut viewer = BufReader::new(&*viewer);
        expect(&mut viewer, "welcome")?;
        for _ in 0..REPORTS {
            stack.runtime.block_on(office.report())?;
        }
        (1..=REPORTS).try_for_each(|number| expect(&mut viewer, &format!("report {number}")))?;
        raise(SIGUSR1)?;
        let signal = counted(office);
        let caller = scope.adopt(UnixStream::connect(clerks::admin_socket(&office.paper.scratch))?);
        caller.set_read_timeout(Some(PATIENCE))?;
        let mut told = String::new();
        (&*caller).read_to_string(&mut told)?;
        Ok::<_, crate::Error>((signal, told, visited(stack)?))
    });
    let (signal, told, read) = told?;
    let elapsed = start.elapsed();
    println!("\nOffice: {REPORTS} reports, {VISITORS} visitors, a signal, a question in {elapsed:.0?}");
    checklist.check("signal was counted", signal);
    let right = told.starts_with(&format!("reports: {REPORTS}, signals: 1, "));
    checklist.check("admin socket told", if right { Ok(told.trim_end().to_owned()) } else { Err(told) });
    checklist.check("visitors read", read);
    let ended = if report.is_success() { Ok(String::new()) } else { Err(report.to_string()) };
    checklist.check("visit's own scope", ended);
    Ok(())
}

fn expect(viewer: &mut BufReader<&TcpStream>, wanted: &str) -> Result<()> {
    // The system may tell of a report more than once.
    let mut line = String::new();
    while viewer.read_line(&mut line)? != 0 && line.trim_end() != wanted {
        line.clear();
    }
    if line.is_empty() { Err(format!("the window closed without {wanted:?}").into()) } else { Ok(()) }
}

fn counted(office: &Office) -> Finding {
    eventually(PATIENCE, || match office.clerks.state.signals.load(Ordering::SeqCst) {
        1 => Ok(String::new()),
        other => Err(format!("{other} were counted")),
    })
}

fn visited(stack: &Stack) -> Result<Finding> {
    let there = stack.database.orders()?.len() as u64;
    let read: Result<Vec<u64>> = thread::scope(|threads| {
        let visitors: Vec<_> =
            (0..VISITORS).map(|_| threads.spawn(|| stack.office.reading.orders())).collect();
        visitors.into_iter().map(|visitor| visitor.join().map_err(|_| "a visitor panicked")?).collect()
    });
    let read = read?;
    let all = read == [there; VISITORS];
    Ok(if all { Ok(format!("{there} orders each")) } else { Err(format!("{read:?}, not {there} each")) })
}
