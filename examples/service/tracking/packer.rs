//! The packer: a task that hears of every stored order, and makes a parcel of it. The threads of the other half
//! feed it, so they are cleaned first.

use std::sync::Arc;
use std::time::Duration;

use castoff::adapters::{Listener, Task};
use castoff::{ResourceGuard, ResourceId, ResourceManager};
use sqlx::SqlitePool;
use tokio::sync::Mutex;
use tokio::sync::broadcast::Sender;
use tokio::sync::mpsc::unbounded_channel;

use crate::Result;
use crate::audit::Feed;
use crate::tracking::Update;
use crate::tracking::sealer::{Press, Sealer};

/// How long it may take to pack what has come by its end: all orders, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Packer {
    _task: ResourceGuard<Task>,
    pub(crate) subscription: ResourceGuard<Listener<Feed>>,
}

pub(crate) fn start(
    manager: &ResourceManager,
    feed: &Arc<Feed>,
    pool: &ResourceGuard<SqlitePool>,
    sealer: &Sealer,
    tally: ResourceId,
    updates: Sender<Update>,
) -> Result<Packer> {
    let (sender, mut orders) = unbounded_channel();
    let (there, press) = (SqlitePool::clone(pool), Arc::clone(&sealer.press));
    // It needs no token: the channel is closed once the subscription has ended, and then all was heard.
    let task = Task::spawn("packer", |_| async move {
        while let Some(id) = orders.recv().await {
            if let Err(error) = pack(&there, &press, &updates, id).await {
                eprintln!("packer: {error}");
            }
        }
    });
    let task = manager
        .resource("packer")
        .description("makes a parcel of every order")
        .depends_on_all([tally, ResourceGuard::id(pool), ResourceGuard::id(&sealer.process)])
        .timeout(PATIENCE)
        .adopt(task.grace(PATIENCE))?;
    let subscription = Listener::of("feed to packer", feed, move |id| sender.send(*id).unwrap_or(()));
    let subscription = manager.resource("feed to packer").depends_on(&task).adopt(subscription)?;
    Ok(Packer { _task: task, subscription })
}

async fn pack(pool: &SqlitePool, press: &Mutex<Press>, updates: &Sender<Update>, id: i64) -> Result<()> {
    let seal = press.lock().await.seal(id).await?;
    sqlx::query("INSERT INTO parcels (id, seal) VALUES (?1, ?2)").bind(id).bind(seal).execute(pool).await?;
    // An error would only say that nobody listens.
    drop(updates.send(Update::Parcel));
    Ok(())
}
