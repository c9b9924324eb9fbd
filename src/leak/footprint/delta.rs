//! What came between two footprints and stayed: [`FootprintDelta`].

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::leak::footprint::Footprint;
use crate::leak::footprint::descriptor::{Descriptor, Kind};
use crate::leak::footprint::memory::Mapping;
use crate::leak::footprint::task::{Child, Thread};
use crate::leak::footprint::text::Bytes;

/// What came between two [`Footprint`]s and was still there at the second, less what is registered. Each string is a
/// line for people: what it is, and by which number it can be found.
///
/// # Examples
/// ```
/// # #[cfg(target_os = "linux")] {
/// use castoff::Footprint;
///
/// let before = Footprint::capture()?;
/// let (stop, stopped) = std::sync::mpsc::channel::<()>();
/// let worker = std::thread::Builder::new().name("worker-3".into()).spawn(move || stopped.recv().is_err())?;
/// // A thread names itself when it starts to run.
/// let mut held = Footprint::capture()?.since(&before);
/// while !held.to_string().contains("worker-3") {
///     held = Footprint::capture()?.since(&before);
/// }
/// assert_eq!(held.threads.len(), 1); // such as "thread 1234 `worker-3`"
/// assert!(held.fds.is_empty() && held.children.is_empty());
///
/// drop(stop);
/// worker.join().map_err(|_| "it panicked")?;
/// let held = Footprint::capture()?.since(&before);
/// assert!(held.to_string().starts_with("nothing new is held"));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct FootprintDelta {
    /// Descriptors but sockets: `fd 7: /tmp/x/orders.db (deleted)`.
    pub fds: Vec<String>,
    /// Sockets: `socket 127.0.0.1:4242 -> 127.0.0.1:5555 ESTABLISHED (fd 9)`.
    pub sockets: Vec<String>,
    /// Threads: ``thread 1234 `worker-3` ``. The kernel keeps 15 bytes of a name.
    pub threads: Vec<String>,
    /// Child processes, zombies too: ``child 4321 `sleep 60`, since 3.2 s``. One that has not come to `exec` yet shows
    /// its parent's command, or none.
    pub children: Vec<String>,
    /// Those of `fds` that are files under the temporary directory.
    pub temp_files: Vec<String>,
    /// Those of `fds` that are shared memory (memfd, `/dev/shm`), and what is mapped:
    /// `mapped: /memfd:ring (deleted) (64.0 KiB)`. A mapping holds its memory when no descriptor is left.
    pub shared_memory: Vec<String>,
    /// By how many bytes resident memory grew. Negative when it shrank. It is never still, and says little of its own.
    pub rss_growth: i64,
}

impl FootprintDelta {
    /// Whether nothing came that stayed. Resident memory does not count: it always moves.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use castoff::Footprint;
    /// let before = Footprint::capture()?;
    /// assert!(Footprint::capture()?.since(&before).is_empty());
    /// # }
    /// # Ok::<(), castoff::FootprintError>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.lines().next().is_none()
    }

    /// Each thing once.
    fn lines(&self) -> impl Iterator<Item = &String> {
        let mapped = self.shared_memory.iter().filter(|line| !self.fds.contains(line));
        self.fds.iter().chain(&self.sockets).chain(&self.threads).chain(&self.children).chain(mapped)
    }
}

impl fmt::Display for FootprintDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.rss_growth < 0 { '-' } else { '+' };
        let memory = format!("resident memory {sign}{}", Bytes(self.rss_growth.unsigned_abs()));
        match self.lines().count() {
            0 => return write!(f, "nothing new is held; {memory}"),
            1 => f.write_str("1 thing came and is still held, and nobody has registered it:")?,
            count => write!(f, "{count} things came and are still held, and nobody has registered them:")?,
        }
        self.lines().try_for_each(|line| write!(f, "\n  {line}"))?;
        write!(f, "\n{memory}")
    }
}

pub(super) fn between(before: &Footprint, after: &Footprint) -> FootprintDelta {
    let mut delta = FootprintDelta { rss_growth: growth(before, after), ..FootprintDelta::default() };
    for descriptor in new_descriptors(before, after) {
        let line = descriptor.to_string();
        match descriptor.kind {
            Kind::TemporaryFile => delta.temp_files.push(line.clone()),
            Kind::SharedMemory => delta.shared_memory.push(line.clone()),
            _ => {}
        }
        let lines = if descriptor.kind == Kind::Socket { &mut delta.sockets } else { &mut delta.fds };
        lines.push(line);
    }
    delta.threads = new_threads(before, after).map(ToString::to_string).collect();
    delta.children = new_children(before, after).map(ToString::to_string).collect();
    delta.shared_memory.extend(new_mappings(before, after).map(ToString::to_string));
    delta
}

#[cfg(any(feature = "macros", test))]
impl Footprint {
    /// Takes what came between two later looks for known: as if it had been there already.
    pub(crate) fn absorb(&mut self, before: &Footprint, after: &Footprint) {
        let descriptors = new_descriptors(before, after);
        self.descriptors.retain(|known| descriptors.iter().all(|new| new.fd != known.fd));
        self.descriptors.extend(descriptors.into_iter().cloned());
        self.threads.extend(new_threads(before, after).cloned());
        self.children.extend(new_children(before, after).cloned());
        self.mappings.extend(new_mappings(before, after).cloned());
    }
}

fn growth(before: &Footprint, after: &Footprint) -> i64 {
    let bytes = |footprint: &Footprint| i64::try_from(footprint.resident_bytes).unwrap_or(i64::MAX);
    bytes(after) - bytes(before)
}

fn new_descriptors<'a>(before: &Footprint, after: &'a Footprint) -> Vec<&'a Descriptor> {
    let known: HashMap<i32, &Descriptor> = before.descriptors.iter().map(|it| (it.fd, it)).collect();
    let listening: HashSet<&str> = after.descriptors.iter().filter_map(listening_on).collect();
    let listens = |address: &str| listening.contains(address) || listening.contains(&*any_of(address));
    let is_new = |it: &&Descriptor| {
        let stayed = known.get(&it.fd).is_some_and(|known| known.identity.is(&it.identity));
        !stayed && !it.own && !after.registered.has_descriptor(it, listens)
    };
    after.descriptors.iter().filter(is_new).collect()
}

fn listening_on(descriptor: &Descriptor) -> Option<&str> {
    let socket = descriptor.socket.as_ref().filter(|socket| socket.state == Some("LISTEN"))?;
    socket.local.as_deref()
}

/// The address that a server has which listens on this port wherever it is called.
fn any_of(address: &str) -> String {
    let port = address.rsplit_once(':').map_or("", |(_, port)| port);
    if address.starts_with('[') { format!("[::]:{port}") } else { format!("0.0.0.0:{port}") }
}

/// A thread that is not listed before but had started by then was missed there: the kernel may leave one out of a list
/// from which others go meanwhile.
fn new_threads<'a>(before: &Footprint, after: &'a Footprint) -> impl Iterator<Item = &'a Thread> {
    let known: HashSet<(u32, u64)> = before.threads.iter().map(|it| (it.tid, it.started)).collect();
    let begun = before.begun;
    after.threads.iter().filter(move |it| {
        let stayed = known.contains(&(it.tid, it.started)) || it.started < begun;
        !stayed && !it.is_own() && !after.registered.has_thread(it)
    })
}

fn new_children<'a>(before: &Footprint, after: &'a Footprint) -> impl Iterator<Item = &'a Child> {
    let known: HashSet<(u32, u64)> = before.children.iter().map(|it| (it.pid, it.started)).collect();
    let is_new = move |it: &&Child| !known.contains(&(it.pid, it.started)) && !after.registered.has_child(it);
    after.children.iter().filter(is_new)
}

fn new_mappings<'a>(before: &Footprint, after: &'a Footprint) -> impl Iterator<Item = &'a Mapping> {
    let known: HashSet<_> = before.mappings.iter().map(|it| it.inode.clone()).collect();
    after.mappings.iter().filter(move |it| !known.contains(&it.inode) && !after.registered.has_mapping(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leak::footprint::tests::footprint;

    #[test]
    fn a_number_that_was_used_again_is_another_thread_or_child() {
        let before = footprint(10, &[(1, 5)], &[(2, 5)]);
        let delta = between(&before, &footprint(20, &[(1, 12)], &[(2, 12)]));
        assert_eq!((delta.threads.len(), delta.children.len()), (1, 1), "{delta}");
        let delta = between(&before, &footprint(20, &[(1, 5)], &[(2, 5)]));
        assert!(delta.is_empty(), "{delta}");
    }

    #[test]
    fn what_is_absorbed_is_known_from_then_on() {
        let mut known = footprint(10, &[(1, 5)], &[]);
        known.absorb(&footprint(20, &[(1, 5)], &[]), &footprint(30, &[(1, 5), (3, 25)], &[(4, 25)]));
        let delta = between(&known, &footprint(40, &[(1, 5), (3, 25), (5, 35)], &[(4, 25)]));
        assert_eq!((&delta.threads[..], delta.children.len()), (&["thread 5 `worker`".to_owned()][..], 0));
    }

    #[test]
    fn a_thread_that_the_first_list_left_out_is_not_new() {
        let before = footprint(10, &[], &[]);
        assert!(between(&before, &footprint(20, &[(1, 9)], &[])).is_empty());
        // In the same tick it may be older or newer: told rather than missed.
        assert_eq!(between(&before, &footprint(20, &[(1, 10)], &[])).threads, ["thread 1 `worker`"]);
    }
}
