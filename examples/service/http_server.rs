//! The HTTP server: a thread that hands requests from the network to the workers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use castoff::{Category, Cleanup, ResourceGuard, ResourceManager};
use tiny_http::{Request, Server};

use crate::{Result, threads};

/// The guard's value is the address that the server listens on.
pub(crate) fn start(
    manager: &ResourceManager,
    workers: &[ResourceGuard<()>],
    inbox: SyncSender<Request>,
) -> Result<ResourceGuard<SocketAddr>> {
    let server = Arc::new(Server::http("127.0.0.1:0")?);
    let address = server.server_addr().to_ip().ok_or("the server has no port")?;
    let thread = threads::spawn("http", {
        let server = Arc::clone(&server);
        move || {
            for request in server.incoming_requests() {
                if inbox.send(request).is_err() {
                    break;
                }
            }
        }
    })?;
    // The thread owns the inbox: when it has ended, the inbox is closed, and the workers finish what is in
    // it.
    let cleanup = Cleanup::sync(move || {
        server.unblock();
        threads::join(thread);
        // The last handle: with it goes the port.
        drop(server);
    });
    let guard = manager
        .resource("http server")
        .named("http-server")
        .category(Category::Network)
        .description(format!("http://{address}"))
        .depends_on_all(workers)
        .timeout(Duration::from_secs(5))
        .keep(address, cleanup)?;
    Ok(guard)
}
