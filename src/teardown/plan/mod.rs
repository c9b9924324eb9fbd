//! A teardown before it runs: which resources, in which order, and why some stay. Plain data; the list for
//! people is here, the diagrams are in [`diagram`].

mod diagram;

#[cfg(test)]
mod tests;

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::id::{Label, ResourceId};
use crate::report::{SkippedResource, text};
use crate::resource::{Category, Priority};

/// A teardown before it runs: the cleanups in their order, and what would be left alone.
///
/// It is what a teardown that started at that moment would do, one cleanup after another; it changes nothing
/// and holds nothing. Displayed, it is a numbered list for people.
///
/// # Examples
/// ```
/// use castoff::{ResourceGuard, ResourceManager};
///
/// let manager = ResourceManager::new("orders");
/// let pool = manager.guard("pool", || ());
/// let server = manager.resource("server").depends_on(&pool).guard(|| ())?;
/// let plan = manager.plan();
/// assert_eq!(plan.order(), [ResourceGuard::id(&server), ResourceGuard::id(&pool)]);
///
/// let list = plan.to_string();
/// assert!(list.starts_with("teardown plan of `orders`: 2 cleanups\n"));
/// assert!(list.contains("before pool"));
/// assert_eq!(manager.resource_count(), 2);
/// # Ok::<(), castoff::RegisterError>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TeardownPlan {
    manager: Label,
    steps: Vec<PlannedStep>,
    skipped: Vec<SkippedResource>,
}

/// One cleanup of a plan.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub(crate) struct PlannedStep {
    pub(crate) id: ResourceId,
    pub(crate) label: Label,
    pub(crate) category: Category,
    /// Its own.
    pub(crate) priority: Priority,
    /// With what it inherits along its dependencies.
    pub(crate) urgency: Priority,
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::location"))]
    pub(crate) created_at: &'static Location<'static>,
    /// The child managers on the way down to it; empty for the root's own.
    pub(crate) managers: Vec<Label>,
    /// `Duration::MAX` is none.
    #[cfg_attr(feature = "serde", serde(serialize_with = "limited"))]
    pub(crate) timeout: Duration,
    /// The steps that it depends on, by their place in the plan: they come later.
    pub(crate) needs: Vec<usize>,
}

impl TeardownPlan {
    pub(crate) fn new(
        manager: Label,
        steps: Vec<PlannedStep>,
        skipped: Vec<SkippedResource>,
    ) -> TeardownPlan {
        TeardownPlan { manager, steps, skipped }
    }

    /// The manager that would be torn down.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(castoff::ResourceManager::new("orders").plan().manager(), "orders");
    /// ```
    pub fn manager(&self) -> &Label {
        &self.manager
    }

    /// What would be cleaned, first to last.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager};
    ///
    /// let manager = ResourceManager::new("orders");
    /// let older = manager.guard("older", || ());
    /// let newer = manager.guard("newer", || ());
    /// assert_eq!(manager.plan().order(), [ResourceGuard::id(&newer), ResourceGuard::id(&older)]);
    /// ```
    pub fn order(&self) -> Vec<ResourceId> {
        self.steps.iter().map(|step| step.id).collect()
    }

    /// How many cleanups it has.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("orders");
    /// let _guard = manager.guard("pool", || ());
    /// assert_eq!(manager.plan().len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing would be cleaned.
    ///
    /// # Examples
    /// ```
    /// assert!(castoff::ResourceManager::new("orders").plan().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What is selected and would be left alone, each with the reason.
    ///
    /// # Examples
    /// ```
    /// use castoff::{ResourceGuard, ResourceManager, SkipReason};
    ///
    /// let manager = ResourceManager::new("orders");
    /// let pool = manager.guard("pool", || ());
    /// let _server = manager.resource("server").depends_on(&pool).guard(|| ())?;
    /// let plan = manager.teardown().ids(&[ResourceGuard::id(&pool)]).plan();
    /// assert!(plan.is_empty());
    /// assert_eq!(plan.skipped()[0].label, "pool");
    /// assert!(matches!(plan.skipped()[0].reason, SkipReason::DependentOutside { .. }));
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn skipped(&self) -> &[SkippedResource] {
        &self.skipped
    }

    /// A digraph in [Graphviz's language](https://graphviz.org/doc/info/lang.html). An arrow leads from each
    /// resource to what it depends on: cleanups run along the arrows. Child managers are clusters; what is
    /// skipped is not drawn.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("orders");
    /// let pool = manager.guard("pool", || ());
    /// let _server = manager.resource("server").depends_on(&pool).guard(|| ())?;
    /// let dot = manager.plan().to_dot();
    /// assert!(dot.starts_with("digraph teardown {\n"));
    /// assert!(dot.contains("    s1 -> s2;\n"));
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn to_dot(&self) -> String {
        diagram::dot(self)
    }

    /// A flowchart in [Mermaid's language](https://mermaid.js.org/syntax/flowchart.html). An arrow leads from
    /// each resource to what it depends on: cleanups run along the arrows. Child managers are subgraphs; what
    /// is skipped is not drawn.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("orders");
    /// let pool = manager.guard("pool", || ());
    /// let _server = manager.resource("server").depends_on(&pool).guard(|| ())?;
    /// let chart = manager.plan().to_mermaid();
    /// assert!(chart.starts_with("flowchart TD\n"));
    /// assert!(chart.contains("    s1 --> s2\n"));
    /// # Ok::<(), castoff::RegisterError>(())
    /// ```
    pub fn to_mermaid(&self) -> String {
        diagram::mermaid(self)
    }

    fn list(&self) -> text::Columns<8> {
        let mut list = text::Columns::new([true, false, false, false, true, false, false, false]);
        let inside = self.steps.iter().any(|step| !step.managers.is_empty());
        let manager = if inside { "manager" } else { "" };
        list.row(["#", "resource", "category", "priority", "timeout", manager, "made at", ""]);
        for (at, step) in self.steps.iter().enumerate() {
            list.row([
                (at + 1).to_string(),
                text::label(&step.label),
                text::label(&step.category.to_string()),
                urgency(step),
                limit(step.timeout),
                text::label(&step.managers.join(" / ")),
                step.created_at.to_string(),
                self.before(step),
            ]);
        }
        list
    }

    fn before(&self, step: &PlannedStep) -> String {
        let needed = step.needs.iter().filter_map(|at| self.steps.get(*at));
        let labels: Vec<Label> = needed.map(|step| step.label.clone()).collect();
        if labels.is_empty() { String::new() } else { format!("before {}", text::names(&labels, "")) }
    }
}

fn urgency(step: &PlannedStep) -> String {
    if step.urgency == step.priority {
        step.priority.to_string()
    } else {
        format!("{}, as urgent as {}", step.priority, step.urgency)
    }
}

fn limit(timeout: Duration) -> String {
    if timeout == Duration::MAX { String::from("none") } else { text::duration(timeout) }
}

#[cfg(feature = "serde")]
fn limited<S: serde::Serializer>(timeout: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&Some(timeout).filter(|limit| **limit != Duration::MAX), serializer)
}

impl fmt::Display for TeardownPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "teardown plan of `{}`: ", text::plain(&self.manager))?;
        match self.len() {
            0 => f.write_str("nothing to clean")?,
            1 => f.write_str("1 cleanup")?,
            count => write!(f, "{count} cleanups")?,
        }
        if !self.skipped.is_empty() {
            write!(f, ", {} skipped", self.skipped.len())?;
        }
        if !self.is_empty() {
            write!(f, "\n{}", self.list())?;
        }
        for one in &self.skipped {
            let label = text::label(&one.label);
            write!(f, "\nskipped: `{label}` (made at {}): {}", one.created_at, one.reason)?;
        }
        Ok(())
    }
}
