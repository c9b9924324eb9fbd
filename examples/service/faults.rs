//! Three faults that happen to real services, for `--faulty`.
//!
//! 1. A reader that somebody forgot keeps the database busy: its cleanup **fails**.
//! 2. A request makes a worker panic, and joining that worker **panics** in its cleanup.
//! 3. The child process ignores the end of its input: its cleanup **hangs**, until it is killed.
//!
//! The third needs nothing here: the stack starts a stubborn child. The asynchronous half has three of its own.

use rusqlite::Connection;

use crate::Result;
use crate::http_client::{Client, connect};
use crate::stack::Stack;
#[cfg(feature = "full")]
use crate::tracking::{self, faults::StuckUpload};
use crate::{checksums, database};

/// How many they are.
pub(crate) const COUNT: &str = if cfg!(feature = "full") { "six" } else { "three" };

/// What has to stay until the end.
pub(crate) struct Faults {
    /// Has a read transaction that never ends.
    _forgotten_reader: Connection,
    #[cfg(feature = "full")]
    _stuck_upload: StuckUpload,
}

pub(crate) fn provoke(stack: &Stack) -> Result<Faults> {
    println!("\nFaults: a forgotten reader, a worker that panics, a child that does not want to leave");
    let reader = Connection::open(stack.database.file())?;
    reader.execute_batch("BEGIN")?;
    reader.query_row("SELECT count(*) FROM orders", [], |row| row.get::<_, i64>(0))?;

    let connection = connect(*stack.server)?;
    let mut client = Client::new(&connection);
    // An order after the read began: the log then holds what the reader must not see yet.
    expect(201, client.post("/orders", "one more order")?)?;
    expect(500, client.post("/panic", "")?)?;
    Ok(Faults {
        _forgotten_reader: reader,
        #[cfg(feature = "full")]
        _stuck_upload: tracking::faults::provoke(stack)?,
    })
}

/// The errors that the report has to have, and no others.
pub(crate) fn wanted() -> Vec<String> {
    let mut wanted = vec![
        format!("failed: {}", database::LABEL),
        "panicked: a worker".to_owned(),
        format!("timed out: {}", checksums::LABEL),
    ];
    #[cfg(feature = "full")]
    wanted.extend(tracking::faults::WANTED.map(str::to_owned));
    wanted.sort();
    wanted
}

fn expect(status: u16, answer: (u16, String)) -> Result<()> {
    if answer.0 == status {
        Ok(())
    } else {
        Err(format!("expected an answer {status}, not {answer:?}").into())
    }
}
