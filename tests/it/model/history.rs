//! Random histories: the operations, in the form that proptest makes, shrinks and prints. Every number in them is
//! taken modulo what there is to choose from when its turn comes, so that each list of operations is a history.

use std::fmt;

use castoff::{Category, Priority};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// One history below one isolated root manager.
#[derive(Clone)]
pub(crate) struct History(pub(crate) Vec<Op>);

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One operation a line: the pretty form of derived Debug spreads each over ten.
        self.0.iter().try_for_each(|op| write!(f, "\n  {op:?}"))
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Register { manager: usize, needs: Vec<usize>, need_a_gone_one: bool, profile: Profile },
    LetGo { guard: usize, how: LetGo },
    Unregister { resource: usize, through_root: bool },
    Depend { dependent: usize, dependency: usize, on_a_gone_one: bool, through_root: bool },
    TearDown { manager: usize, filter: Filter },
    Child { of: usize },
    DropHandle { manager: usize },
    Scope { of: usize, body: Vec<Op> },
}

/// How a guard is let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LetGo {
    Drop,
    DropWhileUnwinding,
    Close,
    Release,
    Leak,
}

/// What a resource is registered as.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Profile {
    pub(crate) category: Category,
    pub(crate) priority: Option<Priority>,
    pub(crate) tags: Vec<&'static str>,
    pub(crate) ending: Ending,
    pub(crate) cleans: Cleans,
    /// Whether its cleanup awaits. The model needs not know: outside of a runtime that changes nothing.
    pub(crate) awaits: bool,
}

/// What its cleanup does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    Ends,
    Fails,
    Panics,
}

/// Which drops of its guard clean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cleans {
    Always,
    OnUnwind,
    OnSuccess,
}

/// What a teardown is asked for. Empty lists ask for nothing; `ids` and `exclude` are mostly of live ones.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Filter {
    pub(crate) categories: Vec<Category>,
    pub(crate) tags: Vec<&'static str>,
    pub(crate) priorities: Vec<Priority>,
    pub(crate) ids: Vec<usize>,
    pub(crate) exclude: Vec<usize>,
    pub(crate) exclude_categories: Vec<Category>,
    /// Excludes all that is deferred: the teardown then frees it.
    pub(crate) spare_deferred: bool,
    pub(crate) force: bool,
    pub(crate) stop_on_error: bool,
}

impl Profile {
    /// The priority that it has in the end: what it asked for, or its category's default.
    pub(crate) fn effective_priority(&self) -> Priority {
        let default = if self.category == Category::Critical { Priority::Critical } else { Priority::Medium };
        self.priority.unwrap_or(default)
    }
}

impl Cleans {
    pub(crate) fn on_drop(self, unwinding: bool) -> bool {
        match self {
            Cleans::Always => true,
            Cleans::OnUnwind => unwinding,
            Cleans::OnSuccess => !unwinding,
        }
    }
}

impl Filter {
    /// Any of the same kind, all kinds together.
    pub(crate) fn selects(&self, resource: usize, profile: &Profile) -> bool {
        (self.categories.is_empty() || self.categories.contains(&profile.category))
            && (self.tags.is_empty() || self.tags.iter().any(|tag| profile.tags.contains(tag)))
            && (self.priorities.is_empty() || self.priorities.contains(&profile.effective_priority()))
            && (self.ids.is_empty() || self.ids.contains(&resource))
            && !self.exclude.contains(&resource)
            && !self.exclude_categories.contains(&profile.category)
    }
}

/// Histories of one to thirty operations; a scope counts as one and holds up to eight of its own.
pub(crate) fn histories() -> impl Strategy<Value = History> {
    let scope = (number(), vec(op(), 0..=8)).prop_map(|(of, body)| Op::Scope { of, body });
    vec(prop_oneof![24 => op(), 1 => scope], 1..=30).prop_map(History)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        14 => (number(), vec(number(), 0..=3), rarely(), profile()).prop_map(
            |(manager, needs, need_a_gone_one, profile)| Op::Register { manager, needs, need_a_gone_one, profile },
        ),
        7 => (number(), let_go()).prop_map(|(guard, how)| Op::LetGo { guard, how }),
        1 => (number(), any::<bool>())
            .prop_map(|(resource, through_root)| Op::Unregister { resource, through_root }),
        3 => (number(), number(), rarely(), any::<bool>()).prop_map(
            |(dependent, dependency, on_a_gone_one, through_root)|
                Op::Depend { dependent, dependency, on_a_gone_one, through_root },
        ),
        2 => (number(), filter()).prop_map(|(manager, filter)| Op::TearDown { manager, filter }),
        2 => number().prop_map(|of| Op::Child { of }),
        1 => number().prop_map(|manager| Op::DropHandle { manager }),
    ]
}

fn number() -> impl Strategy<Value = usize> {
    0_usize..32
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.06)
}

fn let_go() -> impl Strategy<Value = LetGo> {
    prop_oneof![
        8 => Just(LetGo::Drop),
        2 => Just(LetGo::DropWhileUnwinding),
        4 => Just(LetGo::Close),
        2 => Just(LetGo::Release),
        1 => Just(LetGo::Leak),
    ]
}

fn profile() -> impl Strategy<Value = Profile> {
    let ending = prop_oneof![5 => Just(Ending::Ends), 1 => Just(Ending::Fails), 1 => Just(Ending::Panics)];
    let cleans = prop_oneof![
        8 => Just(Cleans::Always), 1 => Just(Cleans::OnUnwind), 1 => Just(Cleans::OnSuccess)
    ];
    let priority = prop::option::weighted(0.4, priority());
    (category(), priority, vec(tag(), 0..=1), ending, cleans, awaits()).prop_map(
        |(category, priority, tags, ending, cleans, awaits)| Profile {
            category,
            priority,
            tags,
            ending,
            cleans,
            awaits,
        },
    )
}

/// Some cleanups await, where there are such.
pub(crate) fn awaits() -> impl Strategy<Value = bool> {
    prop::bool::weighted(if cfg!(feature = "tokio") { 0.15 } else { 0.0 })
}

fn filter() -> impl Strategy<Value = Filter> {
    let lists = (few(category()), few(tag()), few(priority()), few(number()), few(number()), few(category()));
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.25), prop::bool::weighted(0.5));
    let some = (lists, flags).prop_map(|(lists, (spare_deferred, force, stop_on_error))| {
        let (categories, tags, priorities, ids, exclude, exclude_categories) = lists;
        Filter {
            categories,
            tags,
            priorities,
            ids,
            exclude,
            exclude_categories,
            spare_deferred,
            force,
            stop_on_error,
        }
    });
    prop_oneof![1 => Just(Filter::default()), 7 => some]
}

/// Mostly nothing: filters of several kinds together soon select nothing at all.
fn few<S: Strategy>(one: S) -> impl Strategy<Value = Vec<S::Value>>
where
    S::Value: Clone,
{
    prop_oneof![5 => Just(Vec::new()), 1 => vec(one, 1..=3)]
}

fn category() -> impl Strategy<Value = Category> {
    select(&[Category::Event, Category::Database, Category::Custom("cache"), Category::Critical][..])
}

fn priority() -> impl Strategy<Value = Priority> {
    select(&[Priority::Medium, Priority::Low, Priority::High, Priority::Critical][..])
}

fn tag() -> impl Strategy<Value = &'static str> {
    select(&["warm", "cold"][..])
}
