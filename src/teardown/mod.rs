//! Batches of cleanups, in order: choose, plan, run, report.
//!
//! In comes what was asked for ([`Teardown`]); `choose` looks at the registry, the graph gives the order, `plan` shows
//! it dry, `run` does it, and a [`TeardownReport`] goes out. Teardowns of one manager run one at a time; a call from
//! inside a cleanup never waits for one. What memory for the whole is refused for is done in slices (`pressure`).

mod active;
#[cfg(feature = "tokio")]
mod away;
mod choose;
#[cfg(feature = "tokio")]
mod flights;
mod inbox;
pub(crate) mod plan;
mod pressure;
mod run;
mod shutdown;
mod state;
mod stretch;
#[cfg(test)]
mod tests;
mod watch;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cleanup::CleanupReason;
use crate::clock::after;
use crate::events::spans::InSpan;
use crate::events::{ResourceEvent, anyone_listens};
use crate::graph::Why;
use crate::id::{Label, ResourceId};
use crate::registry::queue::Turn;
use crate::registry::registry;
use crate::registry::tree::Node;
use crate::report::{SkipReason, SkippedResource, TeardownReport};
use crate::resource::{Category, Priority};
use crate::runtime::{inside as inside_of, is_async_context};
#[cfg(feature = "tokio")]
use crate::teardown::away::{Cancel, away};
use crate::teardown::choose::{Choice, Selection, choose};
use crate::teardown::inbox::Inbox;
use crate::teardown::plan::{PlannedStep, TeardownPlan};
use crate::teardown::run::{Options, labels, run};
use crate::unwind::contain;

#[cfg(feature = "tokio")]
pub(crate) use self::shutdown::shutdown_async;
pub(crate) use self::shutdown::{shutdown, shutdown_within};

/// A teardown in the making: choose what, say how, then [`run`](Teardown::run) it or look at the
/// [`plan`](Teardown::plan).
///
/// Everything live in the manager and below is chosen, unless filters say less: any of the same kind has to hold,
/// and all kinds together. A chosen resource with a live dependent that is not chosen is skipped, and the report
/// says behind which.
///
/// The cleanups run on helper threads, in order: what depends on something goes before it; among what is ready the
/// most urgent first, then the newest. A failed, panicked or overdue cleanup does not stop what it depended on. A helper
/// thread may do one teardown after another: what a cleanup leaves in a thread-local, a later one may find there.
///
/// # Examples
/// ```
/// use castoff::{Category, ResourceManager};
/// use std::time::Duration;
///
/// let manager = ResourceManager::new("service");
/// let _pool = manager.resource("pool").category(Category::Database).guard(|| ())?;
/// let _server = manager.resource("server").category(Category::Network).guard(|| ())?;
/// let report = manager.teardown().category(Category::Network).deadline(Duration::from_secs(5)).run();
/// assert_eq!((report.cleaned(), manager.resource_count()), (1, 1));
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[must_use = "a teardown does nothing until it is run"]
pub struct Teardown<'m> {
    node: &'m Arc<Node>,
    selection: Selection,
    options: Options,
}

impl<'m> Teardown<'m> {
    pub(crate) fn new(node: &'m Arc<Node>) -> Teardown<'m> {
        Teardown { node, selection: Selection::default(), options: Options::plain(CleanupReason::Teardown) }
    }

    /// Only resources of this category, or of others given likewise.
    pub fn category(mut self, category: Category) -> Self {
        self.selection.categories.push(category);
        self
    }

    /// Only resources with this tag, or with others given likewise.
    pub fn tag(mut self, tag: impl Into<Label>) -> Self {
        self.selection.tags.push(tag.into());
        self
    }

    /// Only resources of this own priority, or of others given likewise.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.selection.priorities.push(priority);
        self
    }

    /// Only these resources, and others given likewise.
    pub fn ids(mut self, ids: &[ResourceId]) -> Self {
        self.selection.ids.get_or_insert_default().extend(ids);
        self
    }

    /// None of these resources.
    pub fn exclude(mut self, ids: &[ResourceId]) -> Self {
        self.selection.not_ids.extend(ids);
        self
    }

    /// No resources of this category.
    pub fn exclude_category(mut self, category: Category) -> Self {
        self.selection.not_categories.push(category);
        self
    }

    /// Up to so many cleanups at once, along the dependencies and class of priority by class. One after the other
    /// unless set; zero counts as one.
    pub fn concurrency(mut self, limit: usize) -> Self {
        self.options.concurrency = limit;
        self
    }

    /// How long the whole may take, from now on. What has not started by then is skipped and stays live; what has
    /// not ended is given up. Zero skips all; no deadline unless set.
    ///
    /// No cleanup is waited for longer than half of what is left, so that one that hangs does not take the others
    /// with it. A tenth of the deadline, but at least 100 ms, is kept for last resorts where any of the chosen has
    /// one.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.options.deadline = Some(limit);
        self
    }

    /// Starts nothing more after the first cleanup that fails: the rest is skipped and stays live.
    pub fn stop_on_error(mut self) -> Self {
        self.options.stop_on_error = true;
        self
    }

    /// Cleans what was chosen even if something else depends on it. Among the chosen, dependencies still decide
    /// the order.
    pub fn force(mut self) -> Self {
        self.options.force = true;
        self
    }

    /// What it would do, as things stand now.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("dry");
    /// let pool = manager.guard("pool", || ());
    /// let server = manager.resource("server").depends_on(&pool).guard(|| ())?;
    /// assert_eq!(manager.teardown().plan().order(), [(&server).into(), (&pool).into()]);
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn plan(self) -> TeardownPlan {
        plan(self.node, &self.selection, self.options.force)
    }

    /// Does it, and tells what became of each of the chosen. Another teardown of the same manager is waited for
    /// first; the report then covers what that one did of this one's choice.
    ///
    /// Called from inside a cleanup it never waits: if the manager is being torn down, the running teardown does
    /// this one before it ends, and the report is empty and says so
    /// ([`is_handed_over`](TeardownReport::is_handed_over)); else it runs here, without the resources whose cleanups
    /// it is inside of.
    ///
    /// Where memory for planning the whole at once is refused, it is done in slices, each as large as memory allows:
    /// dependencies are kept, but priorities, and child managers as wholes, are put in order within a slice only,
    /// what another teardown cleaned while this one waited for it is not covered, and the report may count some
    /// resources without listing them ([`unlisted`](TeardownReport::unlisted)).
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("run");
    /// let _guard = manager.guard("cache", || ());
    /// assert!(manager.teardown().concurrency(4).run().is_success());
    /// ```
    pub fn run(self) -> TeardownReport {
        run_chosen(self.node, self.selection, self.options)
    }

    /// Does it without blocking the thread that awaits: the same teardown as [`run`](Self::run), watched by a helper
    /// thread. Asynchronous cleanups run on castoff's runtime thread, up to [`concurrency`](Self::concurrency) at
    /// once along with the others; the others run on helper threads.
    ///
    /// # Cancel safety
    /// Dropped before it was first polled, nothing happens. Dropped later, nothing is lost: the cleanups that run go
    /// on elsewhere, within their timeouts, and events tell how they end; what had not started stays live; and the
    /// manager is free for another teardown at once.
    ///
    /// # Examples
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use castoff::ResourceManager;
    /// use std::time::Duration;
    ///
    /// let manager = ResourceManager::new("pools");
    /// let _guards: Vec<_> = (0..100)
    ///     .map(|n| manager.guard_async(format!("pool {n}"), || tokio::time::sleep(Duration::from_millis(5))))
    ///     .collect();
    /// let report = manager.teardown().concurrency(100).deadline(Duration::from_secs(5)).run_async().await;
    /// assert_eq!(report.cleaned(), 100);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub async fn run_async(self) -> TeardownReport {
        let (node, selection, cancel) = (self.node.clone(), self.selection, Cancel::default());
        let options = Options { blocks_runtime: false, cancel: Some(cancel.clone()), ..self.options };
        away(cancel, move || run_chosen(&node, selection, options)).await
    }
}

fn run_chosen(node: &Arc<Node>, selection: Selection, options: Options) -> TeardownReport {
    ask(node, move |node, start, mut entry| {
        let mut selection = selection.clone();
        selection.not_ids.extend(entry.inside.iter().copied());
        pass(node, &selection, options.clone(), start, &mut entry)
    })
}

impl fmt::Debug for Teardown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teardown")
            .field("manager", &self.node.name)
            .field("selection", &self.selection)
            .field("options", &self.options)
            .finish()
    }
}

impl Options {
    pub(crate) fn plain(reason: CleanupReason) -> Options {
        Options {
            concurrency: 1,
            deadline: None,
            stop_on_error: false,
            force: false,
            reason,
            seal_at: None,
            blocks_runtime: is_async_context(),
            #[cfg(feature = "tokio")]
            cancel: None,
        }
    }
}

/// How a teardown comes to its turn.
pub(crate) struct Entry {
    /// The resources whose cleanups the caller is inside of.
    inside: Vec<ResourceId>,
    /// The turn is the caller's already, or was waited for; else that is done after the choice, so that what another
    /// teardown cleans meanwhile is reported.
    has_turn: bool,
    /// The turn, where it is let go with this.
    turn: Option<Turn>,
}

/// Does a teardown of this manager, here or, from inside a cleanup, there where it can be done without waiting.
fn ask(
    node: &Arc<Node>,
    teardown: impl Fn(&Arc<Node>, Instant, Entry) -> TeardownReport + Clone + Send + 'static,
) -> TeardownReport {
    let (start, inside) = (Instant::now(), inside_of());
    if inside.is_empty() {
        return teardown(node, start, Entry { inside, has_turn: false, turn: None });
    }
    // Left with a teardown of this manager it has that one's turn; with one below, it takes its own.
    let request = |has_turn: bool| {
        let (node, teardown) = (node.clone(), teardown.clone());
        // The report goes to nobody: who asked has been told that it is handed over.
        Box::new(move || {
            let entry = Entry { inside: inside_of(), has_turn, turn: None };
            drop(contain(|| teardown(&node, Instant::now(), entry)));
        })
    };
    for id in &inside {
        let Some(at) = registry().node_of(*id).filter(|at| at.is_within(node)) else { continue };
        for between in at.upwards().take_while(|between| !Arc::ptr_eq(between, node)) {
            if between.queue.ask(request(false)).is_ok() {
                return TeardownReport::handed_over(node.name.clone());
            }
        }
    }
    match node.queue.enter_or_ask(request(true)) {
        Some(turn) => teardown(node, start, Entry { inside, has_turn: true, turn: Some(turn) }),
        None => TeardownReport::handed_over(node.name.clone()),
    }
}

/// One pass over what is live now: all of it in one order, or, where memory for that is refused, in slices.
fn pass(
    node: &Arc<Node>,
    selection: &Selection,
    options: Options,
    start: Instant,
    entry: &mut Entry,
) -> TeardownReport {
    let whole = pressure::has_room_for_all(node, selection).then(|| {
        let inbox = Inbox::open();
        (choose(node, selection, true), inbox)
    });
    if !entry.has_turn {
        // Past the deadline the run skips all, whoever has the turn.
        entry.turn = node.queue.enter(options.deadline.and_then(|deadline| after(start, deadline)));
        entry.has_turn = true;
    }
    let manager = node.name.clone();
    let _span = InSpan::teardown(&manager);
    if anyone_listens() {
        node.tell(&ResourceEvent::TeardownStarted { manager: manager.clone() });
    }
    let report = match whole {
        // As most scopes are when they end: there is nothing to order, to run or to wait for.
        Some((choice, inbox)) if choice.items.is_empty() => {
            inbox.close();
            TeardownReport::new(manager.clone(), Vec::new(), start.elapsed())
        }
        Some((choice, inbox)) => {
            let order = order(node, &choice, options.force);
            run(node, choice, order, options, inbox, start, &mut entry.turn)
        }
        None => pressure::in_slices(node, selection, &options, start, &mut entry.turn),
    };
    if anyone_listens() {
        node.tell(&ResourceEvent::TeardownFinished { manager });
    }
    report
}

fn order(node: &Node, choice: &Choice, force: bool) -> crate::graph::Order {
    let (places, chosen) = (choice.places(), choice.chosen());
    node.tree.graph.lock().order(&places, &chosen, force)
}

pub(crate) fn plan(node: &Arc<Node>, selection: &Selection, force: bool) -> TeardownPlan {
    let choice = choose(node, selection, false);
    let order = order(node, &choice, force);
    let ways = choice.ways();
    let mut place = vec![None; choice.items.len()];
    for (at, index) in order.sequence.iter().enumerate() {
        place[*index as usize] = Some(at);
    }
    let index_of: std::collections::HashMap<ResourceId, usize> =
        choice.items.iter().enumerate().map(|(index, item)| (item.id, index)).collect();
    let needs = |id: ResourceId| -> Vec<usize> {
        let dependencies = node.tree.graph.lock().dependencies(id);
        dependencies.iter().filter_map(|id| place[*index_of.get(id)?]).collect()
    };
    let step = |index: &u32| {
        let item = &choice.items[*index as usize];
        PlannedStep {
            id: item.id,
            label: item.label.clone(),
            category: item.category,
            priority: item.priority,
            urgency: order.urgency[*index as usize],
            created_at: item.created_at,
            managers: ways.get(&item.manager).cloned().unwrap_or_default(),
            timeout: item.limit,
            needs: needs(item.id),
        }
    };
    let steps = order.sequence.iter().map(step).collect();
    let skipped = order.left_out.iter().map(|left| {
        let item = &choice.items[left.index as usize];
        let reason = match &left.why {
            Why::Outside(ids) => SkipReason::DependentOutside { dependents: labels(ids) },
            Why::Behind(ids) => SkipReason::BehindSkipped { dependents: labels(ids) },
        };
        let (label, category) = (item.label.clone(), item.category);
        SkippedResource { id: item.id, label, category, created_at: item.created_at, reason }
    });
    TeardownPlan::new(node.name.clone(), steps, skipped.collect())
}
