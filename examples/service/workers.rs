//! The workers: threads that take requests from the inbox, answer them, and end when the inbox is closed.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use castoff::{Category, ResourceGuard, ResourceId, ResourceManager};
use tiny_http::{Method, Request, Response};

use crate::audit::Feed;
use crate::checksums::ChecksumProcess;
use crate::database::Database;
use crate::gate::Gate;
use crate::{Result, threads};

const WORKERS: usize = 4;
/// Requests that wait; beyond that the server waits too.
const INBOX: usize = 64;

/// What a worker needs at hand.
#[derive(Clone)]
pub(crate) struct Desk {
    database: Arc<Database>,
    checksums: Arc<ChecksumProcess>,
    feed: Arc<Feed>,
    gate: Gate,
    faulty: bool,
}

impl Desk {
    pub(crate) fn new(
        database: &Arc<Database>,
        checksums: &Arc<ChecksumProcess>,
        feed: Arc<Feed>,
        gate: Gate,
        faulty: bool,
    ) -> Desk {
        Desk { database: Arc::clone(database), checksums: Arc::clone(checksums), feed, gate, faulty }
    }
}

/// Starts the workers in a manager of their own, and gives the way to send them requests.
pub(crate) fn start(
    manager: &ResourceManager,
    desk: &Desk,
    in_use: &[ResourceId],
) -> Result<(Vec<ResourceGuard<()>>, SyncSender<Request>)> {
    let crew = manager.child("workers");
    // Before the inbox, and so dropped after it if this function fails: workers end when the inbox is closed.
    let mut guards = Vec::new();
    let (sender, inbox) = sync_channel(INBOX);
    let inbox = Arc::new(Mutex::new(inbox));
    for number in 1..=WORKERS {
        let name = format!("worker {number}");
        let (inbox, desk) = (Arc::clone(&inbox), desk.clone());
        let thread = threads::spawn(&name, move || work(&inbox, &desk))?;
        let guard = crew
            .resource(name)
            .category(Category::Process)
            .description("answers requests")
            .depends_on_all(in_use.iter().copied())
            .timeout(Duration::from_secs(5))
            .guard(move || threads::join(thread))?;
        guards.push(guard);
    }
    Ok((guards, sender))
}

fn work(inbox: &Mutex<Receiver<Request>>, desk: &Desk) {
    while let Some(mut request) = next(inbox) {
        let (status, body) = desk.answer(&mut request).unwrap_or_else(|error| (500, error.to_string()));
        // A client that hung up has no use for its answer.
        drop(request.respond(Response::from_string(body).with_status_code(status)));
    }
}

fn next(inbox: &Mutex<Receiver<Request>>) -> Option<Request> {
    inbox.lock().expect("no holder panics").recv().ok()
}

impl Desk {
    fn answer(&self, request: &mut Request) -> Result<(u16, String)> {
        let path = request.url().to_owned();
        match (request.method(), path.strip_prefix("/orders")) {
            (Method::Post, Some("")) if !self.gate.is_open() => Ok((503, "closed".to_owned())),
            (Method::Post, Some("")) => self.take_order(request),
            (Method::Get, Some(id)) => self.show_order(id.trim_start_matches('/')),
            (Method::Post, None) if self.faulty && path == "/panic" => {
                panic!("a request made this worker panic")
            }
            _ => Ok((404, format!("there is no {path} here"))),
        }
    }

    /// Stores an order of one line, and answers with its id and checksum.
    fn take_order(&self, request: &mut Request) -> Result<(u16, String)> {
        let mut text = String::new();
        request.as_reader().read_to_string(&mut text)?;
        if text.is_empty() || text.contains('\n') {
            return Ok((400, "an order is one line of text".to_owned()));
        }
        let checksum = self.checksums.of(&text)?;
        let id = self.database.insert_order(&text, &checksum)?;
        self.feed.publish(id);
        Ok((201, format!("{id} {checksum}")))
    }

    fn show_order(&self, id: &str) -> Result<(u16, String)> {
        let Ok(number) = id.parse() else { return Ok((400, format!("{id:?} is not the id of an order"))) };
        Ok(match self.database.order(number)? {
            Some((text, checksum)) => (200, format!("{checksum} {text}")),
            None => (404, format!("there is no order {id}")),
        })
    }
}
