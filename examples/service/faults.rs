//! Three faults that happen to real services, for `--faulty`.
//!
//! 1. A reader that somebody forgot keeps the database busy: its cleanup **fails**.
//! 2. A request makes a worker panic, and joining that worker **panics** in its cleanup.
//! 3. The child process ignores the end of its input: its cleanup **hangs**, until it is killed.
//!
//! The third needs nothing here: the stack starts a stubborn child.

use rusqlite::Connection;

use crate::Result;
use crate::http_client::{Client, connect};
use crate::stack::Stack;

/// A connection with a read transaction that never ends.
pub(crate) struct ForgottenReader {
    _connection: Connection,
}

pub(crate) fn provoke(stack: &Stack) -> Result<ForgottenReader> {
    println!("\nFaults: a forgotten reader, a worker that panics, a child that does not want to leave");
    let reader = Connection::open(stack.database.file())?;
    reader.execute_batch("BEGIN")?;
    reader.query_row("SELECT count(*) FROM orders", [], |row| row.get::<_, i64>(0))?;

    let connection = connect(*stack.server)?;
    let mut client = Client::new(&connection);
    // An order after the read began: the log then holds what the reader must not see yet.
    expect(201, client.post("/orders", "one more order")?)?;
    expect(500, client.post("/panic", "")?)?;
    Ok(ForgottenReader { _connection: reader })
}

fn expect(status: u16, answer: (u16, String)) -> Result<()> {
    if answer.0 == status {
        Ok(())
    } else {
        Err(format!("expected an answer {status}, not {answer:?}").into())
    }
}
