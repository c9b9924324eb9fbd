//! Containers of testcontainers.
//!
//! A container of theirs that is dropped asks the engine and blocks until it answers, and panics where there is no
//! runtime. So it ends on a thread of its own, with a runtime of its own, however it ends: see [`apart`].

use std::env;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::core::error::ClientError;
use testcontainers::{ContainerAsync, Image, TestcontainersError};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::adapters::slot::{Borrowed, Gone, Slot};
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A container of testcontainers that has been started.
///
/// Its cleanup waits for who has it in hand, and has the engine kill and remove it, with its anonymous volumes, by its id:
/// who wants it to end by itself calls `stop` on it before. The call is testcontainers' `rm`, on a thread of its own with a
/// runtime of its own, so the runtime that started it may be blocked or gone. A container that the engine does not know any
/// more, or is about to remove, is a success. There is no last resort, as nothing is harder than the engine's own kill: when
/// the cleanup is given up the thread goes on until the engine answers, or until testcontainers has waited long enough, which
/// is two minutes, twice.
///
/// With `TESTCONTAINERS_COMMAND=keep` the container is left as it is, which is how testcontainers has one looked at after a
/// test. Its network, if it has one, goes with the last container in it.
///
/// # Examples
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use castoff::ResourceManager;
/// use castoff::adapters::TestContainer;
/// use testcontainers::core::{IntoContainerPort, WaitFor};
/// use testcontainers::{GenericImage, runners::AsyncRunner};
///
/// let image = GenericImage::new("redis", "7.2.4") // not run: it needs an engine
///     .with_exposed_port(6379.tcp())
///     .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"));
/// let redis = ResourceManager::current().adopt(TestContainer::new(image.start().await?));
/// let port = redis.get().await?.get_host_port_ipv4(6379.tcp()).await?;
/// # let _ = port;
/// # Ok(())
/// # }
/// ```
pub struct TestContainer<I: Image + 'static> {
    label: Label,
    id: Box<str>,
    inner: Arc<Inner<I>>,
}

impl<I: Image + 'static> TestContainer<I> {
    /// Takes a container that has been started.
    pub fn new(container: ContainerAsync<I>) -> TestContainer<I> {
        let (image, id) = (container.image(), container.id());
        let short = id.get(..12).unwrap_or(id);
        let label = Label::from(format!("container {short} of {}:{}", image.name(), image.tag()));
        TestContainer { label, id: id.into(), inner: Arc::new(Inner { slot: Slot::new(container) }) }
    }

    /// The engine's id of it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The container, lent to one at a time. Waits while somebody else has it.
    ///
    /// # Errors
    /// After its cleanup.
    ///
    /// # Cancel safety
    /// Nothing is lent to who does not wait any more.
    pub async fn get(&self) -> Result<Borrowed<'_, ContainerAsync<I>>, Gone> {
        poll_fn(|cx| self.inner.slot.poll_borrow(cx)).await
    }

    /// The container itself. `None` after its cleanup.
    pub fn into_inner(self) -> Option<ContainerAsync<I>> {
        self.inner.slot.close()
    }
}

impl<I: Image + 'static> Resource for TestContainer<I> {
    const CATEGORY: Category = Category::Process;

    /// `container`, the beginning of its id, and its image.
    fn label(&self) -> Label {
        self.label.clone()
    }

    fn cleanup(&mut self) -> Cleanup {
        let inner = Arc::clone(&self.inner);
        Cleanup::future(move || async move {
            let Some(container) = poll_fn(|cx| inner.slot.poll_close(cx)).await else { return Ok(()) };
            let (tell, told) = oneshot::channel();
            let removing = apart(container, |container| async move {
                // Nobody hears it when the cleanup was given up.
                tell.send(remove(container).await).ok();
            });
            removing.map_err(|error| format!("no thread to remove it on, and it stays: {error}"))?;
            told.await.unwrap_or_else(|_| Err("the thread that was to remove it panicked".to_owned()))
        })
    }
}

async fn remove<I: Image>(container: ContainerAsync<I>) -> Result<(), String> {
    if env::var_os("TESTCONTAINERS_COMMAND").is_some_and(|command| command == "keep") {
        return Ok(());
    }
    match container.rm().await {
        Err(error) if is_gone(&error) => Ok(()),
        result => result.map_err(|error| error.to_string()),
    }
}

/// Whether the engine has said that there is none (404), or that somebody is removing it (409).
fn is_gone(error: &TestcontainersError) -> bool {
    let TestcontainersError::Client(ClientError::RemoveContainer(error)) = error else { return false };
    matches!(error, EngineError::DockerResponseServerError { status_code: 404 | 409, .. })
}

/// Ends it on a thread and a runtime of its own. Of the kind with worker threads: on the other a container that is dropped
/// leaves a thread of testcontainers' behind for the rest of the process.
fn apart<I: Image + 'static, Fut: Future<Output = ()>>(
    container: ContainerAsync<I>,
    end: impl FnOnce(ContainerAsync<I>) -> Fut + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    // Without a thread it stays as it is: dropped where there is no runtime it panics.
    let container = ManuallyDrop::new(container);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    thread::Builder::new()
        .name("castoff-container".into())
        .spawn(move || runtime.block_on(async move { end(ManuallyDrop::into_inner(container)).await }))
}

/// The container, until it is taken out.
struct Inner<I: Image + 'static> {
    slot: Slot<ContainerAsync<I>>,
}

impl<I: Image + 'static> Drop for Inner<I> {
    /// Without a cleanup it goes as testcontainers has it go, and by the end of this.
    fn drop(&mut self) {
        let Some(container) = self.slot.close() else { return };
        if let Ok(removing) = apart(container, |container| async { drop(container) }) {
            removing.join().ok();
        }
    }
}

impl<I: Image + 'static> fmt::Debug for TestContainer<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestContainer").field("label", &self.label).field("slot", &self.inner.slot).finish()
    }
}
