//! Watching what a manager holds over time.

use std::io;
use std::time::Duration;

use crate::leak::MemoryWatch;
use crate::manager::ResourceManager;

impl ResourceManager {
    /// Looks at what this manager and those below hold, now and then every so often, on a thread of its own, until the
    /// watch is dropped. It tells how fast memory grows, by category and by the line that registered what it is in.
    ///
    /// `every` is 10 ms at least; with `Duration::MAX` there is no thread, and nobody looks but who calls
    /// [`MemoryWatch::look`].
    ///
    /// # Errors
    /// When the system refuses a thread.
    ///
    /// # Examples
    /// ```
    /// use castoff::{Category, ResourceManager};
    /// use std::time::Duration;
    ///
    /// let manager = ResourceManager::new("shop");
    /// let watch = manager.watch_memory(Duration::from_secs(10))?;
    /// let page = manager.resource("page").category(Category::File).estimated_bytes(4_096).guard(|| ())?;
    /// watch.look(); // ten seconds are long in an example
    /// let growth = watch.growth();
    /// assert_eq!(growth.by_category[0].category, Category::File);
    /// assert_eq!(growth.by_category[0].estimated_bytes.change, 4_096);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn watch_memory(&self, every: Duration) -> io::Result<MemoryWatch> {
        MemoryWatch::start(self.node(), every)
    }
}
