//! Variables of the process's environment.
//!
//! Invariants:
//! 1. A value writes to the environment twice at most: when it is made, and by its cleanup. Whoever made it has promised
//!    that no more than that can do harm, so a cleanup that is had twice, which safe code can do, writes once.
#![allow(unsafe_code)] // The standard library has no safe way to change the environment: see `EnvVar::set`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// A variable of the process's environment, set or removed now, and put back by the cleanup.
///
/// What was put in meanwhile, by whomever, is replaced too, as with [`Restore`](crate::adapters::Restore): whoever changes
/// a variable twice puts it back in the reverse order, as guards do when they are dropped newest first. With other orders
/// make one depend on the other.
///
/// The environment belongs to the whole process, so a test that changes it needs a process of its own, as under nextest.
/// A child that was started meanwhile keeps what it has got.
///
/// Its category is `Custom("state")`; it has no last resort, as nothing in it can wait. Neither its label nor its `Debug`
/// tells a value, which may be a secret.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
/// use castoff::adapters::EnvVar;
/// use std::env;
///
/// // SAFETY: no thread of this program reads the environment but by `std::env`.
/// let level = unsafe { EnvVar::set("SHOP_LEVEL", "debug") };
/// let level = ResourceManager::new("settings").adopt(level);
/// assert_eq!(env::var("SHOP_LEVEL").as_deref(), Ok("debug"));
/// assert_eq!(level.before(), None);
/// drop(level);
/// assert_eq!(env::var_os("SHOP_LEVEL"), None);
/// ```
#[must_use = "only a cleanup puts the old value back: adopt it"]
pub struct EnvVar(Arc<Change>);

struct Change {
    name: OsString,
    before: Option<OsString>,
    /// Until it has been put back.
    due: AtomicBool,
}

impl EnvVar {
    /// Sets it to this value, and keeps what it was.
    ///
    /// # Panics
    /// As [`env::set_var`]: if the name is empty or has a `=` or a NUL in it, or the value has a NUL. Then nothing is changed.
    ///
    /// # Safety
    /// The contract of [`env::set_var`], from this call until the cleanup has run, whenever and on whatever thread that is: a
    /// drop's, a teardown's, the end of the process. On Windows there is nothing to be kept. Elsewhere either the process has
    /// one thread, and a cleanup on a thread of castoff's finds all others waiting; or no other thread reads or writes the
    /// environment but by [`std::env`](mod@std::env). C code does so in places that do not show it, `getaddrinfo` and with it
    /// [`ToSocketAddrs`](std::net::ToSocketAddrs) among them.
    ///
    /// Where no cleanup will run (it was released and forgotten, or its strategy keeps it) the promise ends with this call.
    pub unsafe fn set(name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> EnvVar {
        let change = Change::of(name.as_ref());
        // SAFETY: the caller keeps the contract of `set_var`, beginning with this call.
        unsafe { env::set_var(&change.name, value) };
        EnvVar(Arc::new(change))
    }

    /// Removes it, and keeps what it was.
    ///
    /// # Panics
    /// As [`env::remove_var`]: if the name is empty or has a `=` or a NUL in it. Then nothing is changed.
    ///
    /// # Safety
    /// The same as for [`set`](EnvVar::set).
    ///
    /// # Examples
    /// ```
    /// use castoff::ResourceManager;
    /// use castoff::adapters::EnvVar;
    /// use std::env;
    ///
    /// let before = env::var_os("PATH");
    /// // SAFETY: no thread of this program reads the environment but by `std::env`.
    /// let path = unsafe { EnvVar::remove("PATH") };
    /// let path = ResourceManager::new("settings").adopt(path);
    /// assert_eq!(env::var_os("PATH"), None);
    /// drop(path);
    /// assert_eq!(env::var_os("PATH"), before);
    /// ```
    pub unsafe fn remove(name: impl AsRef<OsStr>) -> EnvVar {
        let change = Change::of(name.as_ref());
        // SAFETY: the caller keeps the contract of `remove_var`, beginning with this call.
        unsafe { env::remove_var(&change.name) };
        EnvVar(Arc::new(change))
    }

    /// The name of the variable.
    pub fn name(&self) -> &OsStr {
        &self.0.name
    }

    /// What it was before. `None` if it was not set.
    pub fn before(&self) -> Option<&OsStr> {
        self.0.before.as_deref()
    }
}

impl Change {
    fn of(name: &OsStr) -> Change {
        Change { name: name.to_owned(), before: env::var_os(name), due: AtomicBool::new(true) }
    }

    fn undo(&self) {
        if !self.due.swap(false, Ordering::AcqRel) {
            return;
        }
        match &self.before {
            // SAFETY: whoever made the value keeps the contract of `set_var` until this has run, and it runs once.
            Some(before) => unsafe { env::set_var(&self.name, before) },
            // SAFETY: as above, for `remove_var`.
            None => unsafe { env::remove_var(&self.name) },
        }
    }
}

impl Resource for EnvVar {
    const CATEGORY: Category = Category::Custom("state");

    /// `environment variable` and its name.
    fn label(&self) -> Label {
        Label::from(format!("environment variable {}", self.0.name.display()))
    }

    fn cleanup(&mut self) -> Cleanup {
        let change = Arc::clone(&self.0);
        Cleanup::sync(move || change.undo())
    }
}

impl fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvVar").field("name", &self.0.name).finish_non_exhaustive()
    }
}
