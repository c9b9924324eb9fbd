//! What is registered: the [`Resource`] trait, the words that describe a resource, and [`ResourceInfo`].

mod known;

use std::fmt;
use std::ops::Index;
use std::panic::Location;
use std::time::Duration;

use crate::cleanup::Cleanup;
use crate::id::{Label, ResourceId};

pub(crate) use self::known::Known;

/// A value that knows its own cleanup.
///
/// [`cleanup`](Resource::cleanup) is asked once, when the value is adopted. What it returns captures its own
/// handle (a clone, a path, a process id), because it may run on another thread while the guard is still held.
///
/// # Examples
/// ```
/// use castoff::{Category, Cleanup, Resource, ResourceManager};
/// use std::net::{Shutdown, TcpListener, TcpStream};
///
/// struct Connection(TcpStream);
/// impl Resource for Connection {
///     const CATEGORY: Category = Category::Network;
///     fn cleanup(&mut self) -> Cleanup {
///         let stream = self.0.try_clone();
///         Cleanup::sync(move || stream?.shutdown(Shutdown::Both))
///     }
/// }
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let connection = Connection(TcpStream::connect(listener.local_addr()?)?);
/// let guard = ResourceManager::new("net").adopt(connection);
/// assert!(guard.0.peer_addr().is_ok());
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Resource: Send + 'static {
    /// The kind of resource: decides the default timeout, and is what teardowns filter by.
    const CATEGORY: Category;

    /// What people call it. The type's short name unless said otherwise.
    fn label(&self) -> Label {
        Label::from(short_type_name::<Self>())
    }

    /// Makes the cleanup. A panic in it leaves `adopt`, and nothing is registered.
    fn cleanup(&mut self) -> Cleanup;
}

/// `alloc::vec::Vec<my::Thing>` is `Vec<Thing>`... without its arguments: `Vec`.
fn short_type_name<T: ?Sized>() -> &'static str {
    let full = std::any::type_name::<T>();
    let bare = full.split_once('<').map_or(full, |(bare, _)| bare);
    bare.rsplit("::").next().unwrap_or(bare)
}

/// The kind of a resource.
///
/// | category | typical priority | timeout | what it is for |
/// |---|---|---|---|
/// | `Critical` | Critical | 30 s | what must go first |
/// | `Database` | Critical | 15 s | pools, transactions, locks |
/// | `File` | High | 10 s | descriptors, temporary files, watchers, streams |
/// | `Network` | High | 10 s | sockets, servers, clients |
/// | `Process` | High | 20 s | child processes, worker threads |
/// | `Timer` | Medium | 5 s | one-shot and interval timers |
/// | `Event` | Medium | 5 s | listeners, subscriptions; also where nothing is said |
/// | `Custom` | Low | 10 s | caches and everything else |
///
/// # Examples
/// ```
/// use castoff::{Category, Priority};
/// use std::time::Duration;
///
/// assert_eq!(Category::Database.typical_priority(), Priority::Critical);
/// assert_eq!(Category::Custom("cache").default_timeout(), Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Category {
    /// What must go first.
    Critical,
    /// Pools, transactions, prepared statements, locks.
    Database,
    /// Descriptors, temporary files and directories, watchers, streams.
    File,
    /// Child processes, worker threads, monitors, signal handlers.
    Process,
    /// Sockets, servers, clients.
    Network,
    /// One-shot and interval timers.
    Timer,
    /// Listeners, subscriptions, emitters; also where nothing is said.
    Event,
    /// Everything else, by a name of your own.
    Custom(&'static str),
}

impl Category {
    /// The priority that resources of this kind usually want. It is used only where
    /// [`ManagerConfig::priority_by_category`](crate::ManagerConfig::priority_by_category) is on.
    #[inline]
    pub fn typical_priority(self) -> Priority {
        match self {
            Category::Critical | Category::Database => Priority::Critical,
            Category::File | Category::Network | Category::Process => Priority::High,
            Category::Timer | Category::Event => Priority::Medium,
            Category::Custom(_) => Priority::Low,
        }
    }

    /// How long a teardown waits for one cleanup of this kind, where neither the resource nor its manager says.
    pub fn default_timeout(self) -> Duration {
        Duration::from_secs(match self {
            Category::Critical => 30,
            Category::Database => 15,
            Category::Process => 20,
            Category::File | Category::Network | Category::Custom(_) => 10,
            Category::Timer | Category::Event => 5,
        })
    }

    /// Medium but for the category Critical: newest first then decides, as it does for locals.
    #[inline]
    pub(crate) fn default_priority(self) -> Priority {
        match self {
            Category::Critical => Priority::Critical,
            _ => Priority::Medium,
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Category::Critical => "critical",
            Category::Database => "database",
            Category::File => "file",
            Category::Process => "process",
            Category::Network => "network",
            Category::Timer => "timer",
            Category::Event => "event",
            Category::Custom(name) => name,
        })
    }
}

/// How urgent a cleanup is: lower is cleaned first, among those that no dependency holds back.
///
/// # Examples
/// ```
/// use castoff::Priority;
/// assert!(Priority::Critical < Priority::Low);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Priority {
    /// First.
    Critical = 0,
    /// Before the common ones.
    High = 1,
    /// The default.
    Medium = 2,
    /// Last.
    Low = 3,
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Priority::Critical => "critical",
            Priority::High => "high",
            Priority::Medium => "medium",
            Priority::Low => "low",
        })
    }
}

/// Where a resource is in its life.
///
/// # Examples
/// ```
/// use castoff::{ResourceGuard, ResourceManager, ResourceState};
///
/// let manager = ResourceManager::new("states");
/// let guard = manager.guard("lock file", || ());
/// assert_eq!(ResourceGuard::state(&guard), ResourceState::Live);
/// assert!(manager.cleanup().is_success());
/// assert_eq!(ResourceGuard::state(&guard), ResourceState::Cleaned);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum ResourceState {
    /// Registered, and nothing has been asked of it.
    Live,
    /// Its guard is gone; it waits for its last dependent.
    Deferred,
    /// Its cleanup is running.
    Cleaning,
    /// Its cleanup succeeded.
    Cleaned,
    /// Its cleanup returned an error or panicked.
    Failed,
    /// Its cleanup was given up.
    TimedOut,
    /// It was let go without a cleanup.
    Released,
}

/// A value of a resource's metadata.
///
/// # Examples
/// ```
/// use castoff::MetadataValue;
/// assert_eq!(MetadataValue::from(5432).to_string(), "5432");
/// ```
#[derive(Clone, PartialEq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(untagged))]
#[non_exhaustive]
pub enum MetadataValue {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
}

macro_rules! metadata_from {
    ($($type:ty => $variant:ident),* $(,)?) => {$(
        impl From<$type> for MetadataValue {
            fn from(value: $type) -> Self {
                MetadataValue::$variant(value.into())
            }
        }
    )*};
}
metadata_from!(&str => Text, String => Text, i64 => Integer, i32 => Integer, u32 => Integer, f64 => Float, bool => Bool);

impl fmt::Display for MetadataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataValue::Text(text) => fmt::Display::fmt(text, f),
            MetadataValue::Integer(number) => fmt::Display::fmt(number, f),
            MetadataValue::Float(number) => fmt::Display::fmt(number, f),
            MetadataValue::Bool(answer) => fmt::Display::fmt(answer, f),
        }
    }
}

/// What else is known of a resource, by key, in the order it was given. A key given again replaces its value.
///
/// # Examples
/// ```
/// use castoff::{MetadataValue, ResourceGuard, ResourceManager};
///
/// let manager = ResourceManager::new("metadata");
/// let guard = manager.resource("db").metadata("port", 5432).metadata("tls", true).guard(|| ())?;
/// let metadata = ResourceGuard::info(&guard).map(|info| info.metadata).unwrap_or_default();
/// assert_eq!(metadata.get("port"), Some(&MetadataValue::Integer(5432)));
/// assert_eq!(metadata.len(), 2);
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[derive(Clone, Default, Debug, PartialEq)]
pub struct Metadata(Vec<(Label, MetadataValue)>);

impl Metadata {
    /// The value of this key.
    pub fn get(&self, key: &str) -> Option<&MetadataValue> {
        self.0.iter().find(|(known, _)| **known == *key).map(|(_, value)| value)
    }

    /// Every key with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MetadataValue)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn set(&mut self, key: Label, value: MetadataValue) {
        match self.0.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key, value)),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// All that is known of a resource that has not ended.
///
/// # Examples
/// ```
/// use castoff::{Category, ResourceGuard, ResourceManager};
///
/// let manager = ResourceManager::new("infos");
/// let guard = manager.resource("pool").category(Category::Database).tag("orders").guard(|| ())?;
/// let info = manager.get(ResourceGuard::id(&guard)).ok_or("gone")?;
/// assert_eq!(info.label, "pool");
/// assert_eq!(info.manager, "infos");
/// assert_eq!(info.created_at.file(), file!());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ResourceInfo {
    /// Its id.
    pub id: ResourceId,
    /// What people call it.
    pub label: Label,
    /// The unique name it can be found by.
    pub name: Option<Label>,
    /// Its kind.
    pub category: Category,
    /// Its own priority, without what it inherits.
    pub priority: Priority,
    /// Where it is in its life.
    pub state: ResourceState,
    /// The line that registered it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::location"))]
    pub created_at: &'static Location<'static>,
    /// How long ago that was, to the tick of the coarse clock (some milliseconds).
    pub age: Duration,
    /// The thread that registered it: its name, or a number.
    pub thread: Label,
    /// The manager it is registered with.
    pub manager: Label,
    /// Its tags, in the order they were given.
    pub tags: Vec<Label>,
    /// Its metadata.
    pub metadata: Metadata,
    /// A sentence about it.
    pub description: Option<Label>,
    /// Its own timeout, if it has one.
    pub timeout: Option<Duration>,
    /// What it needs: cleaned after it.
    pub dependencies: Vec<ResourceId>,
    /// What needs it: cleaned before it.
    pub dependents: Vec<ResourceId>,
    /// How much memory it holds, as told.
    pub estimated_bytes: Option<usize>,
    /// Whether it lives as long as the process.
    pub long_lived: bool,
}

/// A number for each category, such as live resources. A category that was never seen counts zero.
///
/// # Examples
/// ```
/// use castoff::{Category, ResourceManager};
///
/// let manager = ResourceManager::new("counts");
/// let _guard = manager.resource("pool").category(Category::Database).guard(|| ())?;
/// let counts = manager.count_by_category();
/// assert_eq!(counts[Category::Database], 1);
/// assert_eq!(counts[Category::Network], 0);
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CategoryCounts(Vec<(Category, usize)>);

impl CategoryCounts {
    /// Each category that was seen, with its number, in the order of [`Category`].
    pub fn iter(&self) -> impl Iterator<Item = (Category, usize)> {
        self.0.iter().copied()
    }

    /// Of categories that are in it once each.
    pub(crate) fn of(mut counts: Vec<(Category, usize)>) -> CategoryCounts {
        counts.sort_unstable();
        CategoryCounts(counts)
    }
}

impl Index<Category> for CategoryCounts {
    type Output = usize;
    fn index(&self, category: Category) -> &usize {
        match self.0.binary_search_by_key(&category, |(known, _)| *known) {
            Ok(at) => &self.0[at].1,
            Err(_) => &0,
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for CategoryCounts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(category, count)| (category.to_string(), count)))
    }
}
