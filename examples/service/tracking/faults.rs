//! Three faults of the asynchronous half, for `--faulty`.
//!
//! 1. The courier shouts something too long, and the server hangs up on it: its goodbye **fails**.
//! 2. Somebody's trigger refuses the heartbeat's rows; its task panics, and so awaiting it **panics** in its
//!    cleanup.
//! 3. A client sends half a request and waits: the server's connections never drain, its cleanup **hangs** until
//!    its time is over, and then the last resort cuts them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Result;
use crate::http_client::connect;
use crate::stack::Stack;
use crate::tracking::Tracking;
use crate::tracking::routes::LONGEST_MESSAGE;

const PATIENCE: Duration = Duration::from_secs(10);

const TRIGGER: &str = "
    CREATE TRIGGER no_heartbeats BEFORE INSERT ON heartbeats
    BEGIN SELECT RAISE(ABORT, 'heartbeats are not wanted'); END
";

/// How the report tells of them.
pub(crate) const WANTED: [&str; 3] = ["failed: courier", "panicked: heartbeat", "timed out: tracking server"];

/// A connection with a request that never ends.
pub(crate) struct StuckUpload {
    _connection: TcpStream,
}

pub(crate) fn provoke(stack: &Stack) -> Result<StuckUpload> {
    let tracking = &stack.tracking;
    println!("Faults: a courier that is hung up on, a heartbeat that panics, an upload that never ends");
    stack.runtime.block_on(async {
        tracking.courier.shout("parcel ".repeat(LONGEST_MESSAGE)).await?;
        sqlx::raw_sql(TRIGGER).execute(&*tracking.pool).await?;
        castoff::done()
    })?;
    let limit = Instant::now() + PATIENCE;
    while !tracking.heartbeat.task.is_finished() {
        if Instant::now() >= limit {
            return Err("the heartbeat does not mind the trigger".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    upload_half(tracking)
}

/// The server asks for the rest as soon as it waits for it: from then on it has a request that it must not drop.
fn upload_half(tracking: &Tracking) -> Result<StuckUpload> {
    const ASKED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut connection = connect(tracking.server.address())?;
    let head =
        "POST /scans HTTP/1.1\r\nHost: tracking\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    connection.write_all(head.as_bytes())?;
    let mut answer = [0; ASKED.len()];
    connection.read_exact(&mut answer)?;
    if answer != ASKED {
        return Err(format!("the server answered {:?}", String::from_utf8_lossy(&answer)).into());
    }
    connection.write_all(b"half of")?;
    Ok(StuckUpload { _connection: connection })
}
