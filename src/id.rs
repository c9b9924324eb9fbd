//! Names for things: [`ResourceId`], [`Label`] and, inside the crate, the id of a manager and the [`Stamp`] that
//! says which of two things is newer.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// Names one registered resource, for ever.
///
/// Ids are unique in the process and are never used again: an id that outlived its resource names nothing,
/// rather than whatever came to stand in its place. They say nothing about age; two ids compare in no useful order.
///
/// # Examples
/// ```
/// use castoff::{ResourceGuard, ResourceId, ResourceManager};
///
/// let manager = ResourceManager::new("ids");
/// let guard = manager.guard("socket", || ());
/// let id = ResourceId::from(&guard);
/// assert_eq!(id, ResourceGuard::id(&guard));
/// drop(guard);
/// assert!(manager.get(id).is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ResourceId(pub(crate) u64);

impl ResourceId {
    /// Names nothing: generations begin at one.
    pub(crate) const NONE: ResourceId = ResourceId(0);
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:x}", self.0)
    }
}

/// Names one manager inside the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ManagerId(pub(crate) u64);

/// The place of a thing in the order of creation: the greater stamp is the newer thing.
///
/// `turn` counts the hand-overs between threads, so that what happened after something on another thread is
/// newer than it; `shard` and `number` order what one thread did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Stamp {
    pub(crate) turn: u64,
    pub(crate) shard: u32,
    pub(crate) number: u64,
}

/// What people call a thing: a resource, a name, a tag, a manager.
///
/// Made from a `&'static str` for nothing, or from a `String`, `Cow` or `Arc<str>`. Reads like a `str`.
///
/// # Examples
/// ```
/// use castoff::Label;
///
/// let shard = 7;
/// let label = Label::from(format!("orders-{shard}"));
/// assert_eq!(&*label, "orders-7");
/// assert!(label.starts_with("orders"));
/// ```
#[derive(Clone)]
pub struct Label(Text);

/// Two words, as a `&str` alone: the thin pointer fits beside what tells the two apart.
#[derive(Clone)]
enum Text {
    Static(&'static str),
    Made(Arc<Box<str>>),
}

impl Label {
    /// The text, where it is `'static`.
    #[inline]
    pub(crate) fn text(&self) -> Option<&'static str> {
        match self.0 {
            Text::Static(text) => Some(text),
            Text::Made(_) => None,
        }
    }
}

impl From<&'static str> for Label {
    #[inline]
    fn from(text: &'static str) -> Label {
        Label(Text::Static(text))
    }
}

impl From<String> for Label {
    fn from(text: String) -> Label {
        Label(Text::Made(Arc::new(text.into_boxed_str())))
    }
}

impl From<Cow<'static, str>> for Label {
    fn from(text: Cow<'static, str>) -> Label {
        match text {
            Cow::Borrowed(text) => Label::from(text),
            Cow::Owned(text) => Label::from(text),
        }
    }
}

impl From<Arc<str>> for Label {
    fn from(text: Arc<str>) -> Label {
        Label::from(String::from(&*text))
    }
}

impl Deref for Label {
    type Target = str;
    #[inline]
    fn deref(&self) -> &str {
        match &self.0 {
            Text::Static(text) => text,
            Text::Made(text) => text,
        }
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Label) -> bool {
        **self == **other
    }
}

impl Eq for Label {}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Label) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Label) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Label").field(&&**self).finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Label {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        self
    }
}

// So that a map keyed by labels can be asked with a plain `&str`.
impl std::borrow::Borrow<str> for Label {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq<str> for Label {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Label {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}
