//! What the tracking server answers, over HTTP and over WebSocket.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use sqlx::SqlitePool;
use tokio::sync::broadcast::Sender;
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::NonBlocking;

use crate::tracking::Update;

/// Whoever sends a longer one is hung up on.
pub(crate) const LONGEST_MESSAGE: usize = 1024;

/// What the server has answered.
#[derive(Default)]
pub(crate) struct Answered {
    pub(crate) requests: AtomicUsize,
    pub(crate) messages: AtomicUsize,
}

/// What every handler has at hand.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) pool: SqlitePool,
    pub(crate) updates: Sender<Update>,
    pub(crate) answered: Arc<Answered>,
    pub(crate) log: NonBlocking,
    pub(crate) closing: CancellationToken,
}

pub(crate) fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/scans", post(take_scan))
        .route("/scans/{id}", get(show_scan))
        .route("/live", get(live))
        .route("/health", get(|| async { "well" }))
        .with_state(desk)
}

async fn take_scan(State(desk): State<Desk>, text: String) -> Answer {
    let id = desk.store(&text).await?;
    desk.note_request(format_args!("POST /scans {id}"));
    Ok((StatusCode::CREATED, id.to_string()))
}

async fn show_scan(State(desk): State<Desk>, Path(id): Path<i64>) -> Answer {
    let query = sqlx::query_scalar("SELECT text FROM scans WHERE id = ?1").bind(id);
    let text: Option<String> = query.fetch_optional(&desk.pool).await?;
    desk.note_request(format_args!("GET /scans/{id}"));
    Ok(match text {
        Some(text) => (StatusCode::OK, text),
        None => (StatusCode::NOT_FOUND, format!("there is no scan {id}")),
    })
}

async fn live(State(desk): State<Desk>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(LONGEST_MESSAGE).on_upgrade(move |socket| async move {
        if let Err(error) = desk.converse(socket).await {
            println!("(the tracking server hung up: {error})");
        }
    })
}

impl Desk {
    fn note_request(&self, what: fmt::Arguments<'_>) {
        self.answered.requests.fetch_add(1, Ordering::SeqCst);
        self.note(what);
    }

    /// Nobody waits for the disk here.
    fn note(&self, what: fmt::Arguments<'_>) {
        // The log is open as long as the server.
        drop(self.log.clone().write_all(format!("{what}\n").as_bytes()));
    }

    async fn store(&self, text: &str) -> sqlx::Result<i64> {
        let scan = sqlx::query("INSERT INTO scans (text) VALUES (?1)").bind(text).execute(&self.pool).await?;
        // An error would only say that nobody listens.
        drop(self.updates.send(Update::Scan));
        Ok(scan.last_insert_rowid())
    }

    /// Every message is a scan, and answered with its id. The one who leaves says goodbye, and is answered: the
    /// client at the end of its conversation, or the server when it closes.
    async fn converse(&self, mut socket: WebSocket) -> Result<(), axum::BoxError> {
        loop {
            let message = tokio::select! {
                message = socket.recv() => message,
                () = self.closing.cancelled() => break,
            };
            match message.transpose()? {
                Some(Message::Text(text)) => {
                    let id = self.store(&text).await?;
                    self.answered.messages.fetch_add(1, Ordering::SeqCst);
                    self.note(format_args!("message {id}"));
                    socket.send(Message::text(id.to_string())).await?;
                }
                // The answer to a goodbye is sent by the next look for a message, which finds the end.
                Some(_) => {}
                None => return Ok(()),
            }
        }
        let goodbye = CloseFrame { code: close_code::AWAY, reason: "the server closes".into() };
        socket.send(Message::Close(Some(goodbye))).await?;
        while socket.recv().await.transpose()?.is_some() {}
        Ok(())
    }
}

type Answer = Result<(StatusCode, String), Failure>;

/// A query that failed, as an answer.
struct Failure(sqlx::Error);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Failure {
        Failure(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0.to_string()).into_response()
    }
}
