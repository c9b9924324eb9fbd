//! The traffic of the asynchronous half: clients that report scans over HTTP and read them back, while the
//! courier reports its own over its WebSocket; and a customer who looks in with one for a moment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use castoff::adapters::WebSocket;
use castoff::{ResourceGuard, ResourceManager};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::Result;
use crate::checklist::{Checklist, Finding};
use crate::http_client::{Client, connect};
use crate::stack::Stack;
use crate::tracking::Tracking;
use crate::tracking::courier::Courier;

const CLIENTS: usize = 3;
const SCANS_EACH: usize = 50;
/// Each scan is posted, and read back.
const REQUESTS: usize = 2 * CLIENTS * SCANS_EACH;
const MESSAGES: usize = 200;
/// And the customer's.
const ANSWERS: usize = MESSAGES + 1;

/// Scans that the server said it has stored, by the ids that it gave them.
pub(crate) type Scans = BTreeMap<i64, String>;

pub(crate) fn run(stack: &Stack, checklist: &mut Checklist) -> Result<()> {
    let tracking = &stack.tracking;
    let start = Instant::now();
    let address = tracking.server.address();
    let scans = thread::scope(|threads| {
        let clients: Vec<_> =
            (1..=CLIENTS).map(|number| threads.spawn(move || client(address, number))).collect();
        let mut scans = stack.runtime.block_on(converse(&tracking.courier))?;
        scans.extend([stack.runtime.block_on(look_in(address))?]);
        for client in clients {
            scans.append(&mut client.join().map_err(|_| "a client panicked")??);
        }
        Ok::<_, crate::Error>(scans)
    })?;
    let elapsed = start.elapsed();

    println!(
        "\nTracking: {CLIENTS} clients, {REQUESTS} requests, {ANSWERS} WebSocket messages in {elapsed:.0?}"
    );
    checklist.check("requests and messages", answered(tracking, &scans));
    tracking.acknowledged.set(scans).map_err(|_| "there was traffic before")?;
    Ok(())
}

fn client(address: SocketAddr, number: usize) -> Result<Scans> {
    let connection = connect(address)?;
    let mut client = Client::new(&connection);
    (1..=SCANS_EACH).map(|scan| report(&mut client, format!("client {number}, scan {scan}"))).collect()
}

/// Reports one scan and reads it back; both answers have to be right.
fn report(client: &mut Client<'_>, text: String) -> Result<(i64, String)> {
    let (status, id) = client.post("/scans", &text)?;
    if status != 201 {
        return Err(format!("reporting {text:?} was answered {status} {id:?}").into());
    }
    let answer = client.get(&format!("/scans/{id}"))?;
    if answer != (200, text.clone()) {
        return Err(format!("reading scan {id} back was answered {answer:?}").into());
    }
    Ok((id.parse()?, text))
}

async fn converse(courier: &Courier) -> Result<Scans> {
    let mut scans = Scans::new();
    for number in 1..=MESSAGES {
        let text = format!("courier, scan {number}");
        scans.insert(courier.scan(&text).await?, text);
    }
    Ok(scans)
}

/// One message, one answer, and goodbye: said and answered before this returns, and also where it returns early.
async fn look_in(address: SocketAddr) -> Result<(i64, String)> {
    let stream = TcpStream::connect(address).await?;
    let (socket, _) = client_async(format!("ws://{address}/live"), stream).await?;
    let mut live = ResourceManager::current().adopt(WebSocket::new("customer", socket));
    let text = "customer, scan 1";
    live.send(Message::text(text)).await?;
    let answer = live.next().await.ok_or("the server closed the connection")??;
    ResourceGuard::close_async(live).await?;
    Ok((answer.to_text()?.parse()?, text.to_owned()))
}

/// Whether the server counts what its clients count, and gave every scan an id of its own.
fn answered(tracking: &Tracking, scans: &Scans) -> Finding {
    let answered = &tracking.server.answered;
    let (requests, messages) =
        (answered.requests.load(Ordering::SeqCst), answered.messages.load(Ordering::SeqCst));
    let counts = format!("{requests} and {messages} answered, {} scans stored", scans.len());
    let right = (requests, messages, scans.len()) == (REQUESTS, ANSWERS, REQUESTS / 2 + ANSWERS);
    if right { Ok(counts) } else { Err(counts) }
}
