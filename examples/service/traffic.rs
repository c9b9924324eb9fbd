//! The traffic: clients that place orders over TCP and read each of them back, all in a scope of its own.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::thread;
#[cfg(unix)]
use std::time::Duration;
use std::time::Instant;

use castoff::ResourceManager;
#[cfg(unix)]
use castoff::adapters::ConnectionTimeout;

use crate::Result;
use crate::checklist::{Checklist, Finding};
use crate::checksums::checksum;
use crate::database::USUAL_CHECKPOINT;
use crate::http_client::{Client, connect};
use crate::stack::Stack;

const CLIENTS: usize = 4;
const ORDERS_EACH: usize = 100;
/// How long a client may talk to the service.
#[cfg(unix)]
const LONGEST: Duration = Duration::from_secs(60);

/// Every order that was placed, by the id that the service gave it.
type Placed = BTreeMap<i64, String>;

/// Runs the clients, then compares what they were told with what the database holds.
pub(crate) fn run(manager: &ResourceManager, stack: &Stack, checklist: &mut Checklist) -> Result<()> {
    let start = Instant::now();
    // Whatever the traffic needs for itself ends with this scope, also when a client fails.
    let (placed, report) = manager.scope("traffic", |scope| {
        // Bulk load: the log is written back at the end, not in between.
        stack.database.checkpoint_every(0)?;
        let database = Arc::clone(&stack.database);
        let _setting = scope.guard("checkpoint setting", move || database.checkpoint_every(USUAL_CHECKPOINT));
        place_orders(scope, *stack.server)
    });
    let placed = placed?;
    let elapsed = start.elapsed();

    println!("\nTraffic: {CLIENTS} clients, {} requests in {elapsed:.0?}", 2 * placed.len());
    checklist.check("orders in the database", compare(&placed, &stack.database.orders()?));
    checklist.check(
        "traffic's own scope",
        if report.is_success() { Ok(String::new()) } else { Err(report.to_string()) },
    );
    println!("The timer has ticked {} times so far", stack.database.ticks()?);
    #[cfg(feature = "full")]
    {
        crate::tracking::traffic::run(stack, checklist)?;
        crate::office::traffic::run(manager, stack, checklist)?;
    }
    Ok(())
}

fn place_orders(scope: &ResourceManager, address: SocketAddr) -> Result<Placed> {
    thread::scope(|threads| {
        let clients: Vec<_> =
            (1..=CLIENTS).map(|number| threads.spawn(move || client(scope, address, number))).collect();
        let mut placed = Placed::new();
        for client in clients {
            placed.append(&mut client.join().map_err(|_| "a client panicked")??);
        }
        Ok(placed)
    })
}

fn client(scope: &ResourceManager, address: SocketAddr, number: usize) -> Result<Placed> {
    let label = format!("connection {number}");
    let connection = scope.guard_value(label, connect(address)?, |stream| stream.shutdown(Shutdown::Both));
    // The read has its own limit; this is one for the whole conversation.
    #[cfg(unix)]
    let _limit = scope.adopt(ConnectionTimeout::after(LONGEST, &*connection)?);
    let mut client = Client::new(&connection);
    (1..=ORDERS_EACH).map(|order| place(&mut client, format!("client {number}, order {order}"))).collect()
}

/// Places one order and reads it back; both answers have to be right.
fn place(client: &mut Client, text: String) -> Result<(i64, String)> {
    let checksum = checksum(&text);
    let (status, receipt) = client.post("/orders", &text)?;
    let id = receipt.strip_suffix(&format!(" {checksum}")).filter(|_| status == 201);
    let id = id.ok_or_else(|| format!("placing {text:?} was answered {status} {receipt:?}"))?;
    let answer = client.get(&format!("/orders/{id}"))?;
    if answer != (200, format!("{checksum} {text}")) {
        return Err(format!("reading order {id} back was answered {answer:?}").into());
    }
    Ok((id.parse()?, text))
}

fn compare(placed: &Placed, stored: &Placed) -> Finding {
    match placed == stored && placed.len() == CLIENTS * ORDERS_EACH {
        true => Ok(format!("{} placed, {} stored, all the same", placed.len(), stored.len())),
        false => Err(format!("{} placed, {} stored, not the same", placed.len(), stored.len())),
    }
}
