//! The windows: whoever comes in by the entrance is told at one of them of every report, for as long as he likes.

use std::net::SocketAddr;
use std::sync::Arc;

use castoff::adapters::Tasks;
use castoff::{ResourceGuard, ResourceManager};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, Sender};
use tokio_util::sync::CancellationToken;

use crate::Result;

const WINDOWS: usize = 2;
/// What a slow viewer may lag behind.
const NEWS: usize = 64;

pub(crate) struct Windows {
    /// The numbers of reports that were seen.
    pub(crate) news: Sender<u64>,
    pub(crate) address: SocketAddr,
    pub(crate) tasks: ResourceGuard<Tasks>,
    _entrance: ResourceGuard<TcpListener>,
}

impl Windows {
    pub(crate) async fn open(manager: &ResourceManager) -> Result<Windows> {
        let (news, _) = broadcast::channel(NEWS);
        let tasks = manager.adopt(Tasks::new("windows"));
        let entrance = TcpListener::bind("127.0.0.1:0").await?.into_std()?;
        let address = entrance.local_addr()?;
        // The tasks have a descriptor of their own, of the same socket: the cleanup shuts it down for all.
        let shared = Arc::new(TcpListener::from_std(entrance.try_clone()?)?);
        for _ in 0..WINDOWS {
            tasks.spawn(|stop| serve(Arc::clone(&shared), news.clone(), stop));
        }
        let entrance = TcpListener::from_std(entrance)?;
        let entrance = manager
            .resource("entrance")
            .description(address.to_string())
            .depends_on(&tasks)
            .adopt(entrance)?;
        Ok(Windows { news, address, tasks, _entrance: entrance })
    }
}

/// One viewer after the other, until the entrance is shut.
async fn serve(entrance: Arc<TcpListener>, news: Sender<u64>, stop: CancellationToken) {
    while let Ok((viewer, _)) = entrance.accept().await {
        // A viewer who has gone is nobody's business.
        drop(stop.run_until_cancelled(tell(viewer, &news)).await);
    }
}

async fn tell(mut viewer: TcpStream, news: &Sender<u64>) -> Result<()> {
    let mut reports = news.subscribe();
    viewer.write_all(b"welcome\n").await?;
    loop {
        let report = tokio::select! {
            report = reports.recv() => report?,
            // A viewer has nothing to say: it is its end.
            _ = viewer.read_u8() => return Ok(()),
        };
        viewer.write_all(format!("report {report}\n").as_bytes()).await?;
    }
}
