//! WebSockets of tokio-tungstenite.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::adapters::slot::{Borrowed, Slot};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A WebSocket, of either side, to be read and written as tokio-tungstenite's: it is a stream and a sink of messages.
///
/// Its cleanup ends it for who uses it (the stream ends, the sink is closed), says goodbye, and waits for the peer's
/// goodbye; what the peer still sends is dropped. When that is given up, the connection is closed without. A peer that
/// has gone, or has said goodbye before, is success. It uses the runtime that the socket belongs to: if that is gone the
/// cleanup fails, and the connection is closed.
///
/// # Examples
/// ```no_run
/// # async fn example(stream: tokio::net::TcpStream) -> Result<(), Box<dyn std::error::Error>> {
/// use castoff::ResourceManager;
/// use castoff::adapters::WebSocket;
/// use futures_util::{SinkExt, StreamExt};
/// use tokio_tungstenite::tungstenite::Message;
///
/// let (socket, _) = tokio_tungstenite::client_async("ws://localhost/live", stream).await?;
/// let mut live = ResourceManager::current().adopt(WebSocket::new("live prices", socket));
/// live.send(Message::from("tea")).await?;
/// while let Some(price) = live.next().await {
///     println!("{}", price?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct WebSocket<S> {
    label: Label,
    slot: Arc<Slot<WebSocketStream<S>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Takes one whose handshake is done.
    pub fn new(label: impl Into<Label>, socket: WebSocketStream<S>) -> WebSocket<S> {
        WebSocket { label: label.into(), slot: Arc::new(Slot::new(socket)) }
    }

    /// The socket itself, with no goodbye said. `None` after its cleanup.
    pub fn into_inner(self) -> Option<WebSocketStream<S>> {
        self.slot.close()
    }

    /// Has a poll done on the socket inside; woken also when that ends.
    fn poll_inside<R>(
        &self,
        cx: &mut Context<'_>,
        over: R,
        poll: impl FnOnce(Pin<&mut WebSocketStream<S>>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let borrowed: Result<Borrowed<'_, _>, _> = ready!(self.slot.poll_borrow(cx));
        let Ok(mut socket) = borrowed else { return Poll::Ready(over) };
        let polled = poll(Pin::new(&mut *socket), cx);
        drop(socket);
        if polled.is_pending() && self.slot.watch(cx) { Poll::Ready(over) } else { polled }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<S> {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_inside(cx, None, |socket, cx| socket.poll_next(cx))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Message> for WebSocket<S> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_inside(cx, Err(Error::AlreadyClosed), |socket, cx| socket.poll_ready(cx))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        let mut socket = self.slot.borrow().map_err(|_| Error::AlreadyClosed)?;
        Pin::new(&mut *socket).start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_inside(cx, Err(Error::AlreadyClosed), |socket, cx| socket.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_inside(cx, Ok(()), |socket, cx| socket.poll_close(cx))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Resource for WebSocket<S> {
    const CATEGORY: Category = Category::Network;

    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let slot = Arc::clone(&self.slot);
        // Given up, the future is dropped and the socket with it: nothing is left for a last resort.
        Cleanup::future(move || async move {
            match poll_fn(|cx| slot.poll_close(cx)).await {
                Some(socket) => goodbye(socket).await,
                None => Ok(()),
            }
        })
    }
}

async fn goodbye<S: AsyncRead + AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) -> Result<(), Error> {
    let said = socket.close(None).await;
    let heard = loop {
        match poll_fn(|cx| Pin::new(&mut socket).poll_next(cx)).await {
            None => break Ok(()),
            Some(Ok(_)) => (),
            Some(Err(error)) => break Err(error),
        }
    };
    said.and(heard).or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })
}

fn is_gone(error: &Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    use tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ResetWithoutClosingHandshake) => {
            true
        }
        Error::Io(error) => matches!(
            error.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof
        ),
        _ => false,
    }
}

impl<S> fmt::Debug for WebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("label", &self.label).field("slot", &self.slot).finish()
    }
}
