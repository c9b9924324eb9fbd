//! The meter: updates go to a UDP socket, one datagram each, as programs send them to what keeps their statistics. Here
//! that is a thread of the same process.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use castoff::adapters::{TokioListener, Worker};
use castoff::{ResourceGuard, ResourceManager};
use tokio::sync::broadcast::Receiver;

use crate::Result;
use crate::tracking::Update;

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) counted: AtomicU64,
}

pub(crate) struct Meter {
    pub(crate) counts: Arc<Counts>,
    _keeper: ResourceGuard<Worker>,
    _socket: ResourceGuard<UdpSocket>,
    _feed: ResourceGuard<TokioListener>,
}

impl Meter {
    pub(crate) fn start(manager: &ResourceManager, updates: Receiver<Update>) -> Result<Meter> {
        let counts = Arc::new(Counts::default());
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let (kept, datagrams) = (Arc::clone(&counts), socket.try_clone()?);
        // It is woken by the socket's cleanup, and gets an empty datagram then.
        let keeper = Worker::spawn("count keeper", move |_| {
            let mut datagram = [0; 16];
            while let Ok(1..) = datagrams.recv(&mut datagram) {
                kept.counted.fetch_add(1, Ordering::SeqCst);
            }
        })?;
        let keeper = manager.adopt(keeper);
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        sender.connect(socket.local_addr()?)?;
        // Rather lose one than wait: that is what such counts are worth. For the same reason nobody waits for what is
        // still in the channel at the end.
        sender.set_nonblocking(true)?;
        let socket = manager.resource("udp socket").depends_on(&keeper).adopt(socket)?;
        let sent = Arc::clone(&counts);
        let feed = TokioListener::spawn("feed to udp socket", updates, move |update| {
            let datagram = match update {
                Update::Parcel => "parcel:1|c",
                Update::Scan => "scan:1|c",
            };
            if sender.send(datagram.as_bytes()).is_ok() {
                sent.sent.fetch_add(1, Ordering::SeqCst);
            }
            std::future::ready(())
        });
        let feed = manager.resource("feed to udp socket").depends_on(&socket).adopt(feed)?;
        Ok(Meter { counts, _keeper: keeper, _socket: socket, _feed: feed })
    }
}
