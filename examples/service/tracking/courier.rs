//! The courier: a WebSocket client that scans parcels on their way, one message and one answer after the other.

use std::sync::Arc;
use std::time::Duration;

use castoff::{Category, ResourceGuard, ResourceManager};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::Result;
use crate::tracking::server::Server;

pub(crate) struct Courier {
    socket: Mutex<WebSocketStream<MaybeTlsStream<TcpStream>>>,
}

pub(crate) async fn connect(
    manager: &ResourceManager,
    server: &Server,
) -> Result<ResourceGuard<Arc<Courier>>> {
    let (socket, _) = connect_async(format!("ws://{}/live", server.address())).await?;
    let guard = manager
        .resource("courier")
        .category(Category::Network)
        .description("a WebSocket to the tracking server")
        .depends_on(&server.guard)
        // It says goodbye itself: two who do so at once may cut each other short.
        .depends_on(&server.farewell)
        .timeout(Duration::from_secs(5))
        .guard_value_async(Courier { socket: Mutex::new(socket) }, |courier| async move {
            courier.say_goodbye().await
        })?;
    Ok(guard)
}

impl Courier {
    /// Reports a scan, and gives the id that it got.
    pub(crate) async fn scan(&self, text: &str) -> Result<i64> {
        let mut socket = self.socket.lock().await;
        socket.send(Message::text(text)).await?;
        let answer = socket.next().await.ok_or("the server closed the connection")??;
        Ok(answer.to_text()?.parse()?)
    }

    /// Sends something, and does not wait for an answer.
    pub(crate) async fn shout(&self, text: String) -> Result<()> {
        self.socket.lock().await.send(Message::text(text)).await?;
        Ok(())
    }

    /// The cleanup: the close handshake. The goodbye has to be answered before the line goes.
    async fn say_goodbye(&self) -> Result<()> {
        let mut socket = self.socket.lock().await;
        socket.close(None).await?;
        let mut answered = false;
        while let Some(message) = socket.next().await {
            answered |= message?.is_close();
        }
        if answered { Ok(()) } else { Err("the server left without a goodbye".into()) }
    }
}
