//! A look at what is alive, for people: grouped by the line that made it.

use std::backtrace::Backtrace;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::finding::ResourceLeak;
use crate::id::{Label, ResourceId};
use crate::leak::allow::{LeakAllowList, StaleRule};
use crate::leak::footprint::Footprint;
use crate::report::text;

/// Leaks of one line that are shown before the rest is only counted.
const SHOWN: usize = 3;

/// What is alive that should not be, grouped by the line that made it.
///
/// Displays as a text for people: for each line how many, how old the oldest is, and the first few with their reasons.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// let manager = ResourceManager::new("shop");
/// let guards: Vec<_> = (0..3).map(|n| manager.guard(format!("session {n}"), || ())).collect();
/// let report = manager.leak_report();
/// assert_eq!((report.leaks().len(), report.groups().len()), (3, 1), "one line made all of them");
/// println!("{report}");
/// # assert!(report.to_string().starts_with("3 leaks in `shop`, made at 1 line\n"));
/// drop(guards);
/// assert!(manager.leak_report().is_empty());
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LeakReport {
    manager: Label,
    groups: Vec<LeakGroup>,
    /// Group by group.
    leaks: Vec<ResourceLeak>,
    allowed: usize,
    stale_rules: Vec<StaleRule>,
    notes: Vec<String>,
    footprint: Option<Footprint>,
}

/// The leaks that one line made.
///
/// # Examples
/// ```
/// let manager = castoff::ResourceManager::new("groups");
/// let _guard = manager.guard("held", || ());
/// let report = manager.leak_report();
/// assert_eq!((report.groups()[0].count, report.groups()[0].created_at.file()), (1, file!()));
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LeakGroup {
    /// The line.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::location"))]
    pub created_at: &'static Location<'static>,
    /// How many there are of it.
    pub count: usize,
    /// How long the oldest has lived.
    pub oldest: Duration,
}

/// What was live at some moment, to be left out of later reports.
///
/// # Examples
/// ```
/// let manager = castoff::ResourceManager::new("baselines");
/// let _known = manager.guard("known", || ());
/// let baseline = manager.leak_baseline();
/// let _new = manager.guard("new", || ());
/// let report = manager.leak_report().without(&baseline);
/// assert_eq!(report.leaks()[0].label, "new");
/// ```
#[derive(Clone, Default, Debug)]
pub struct LeakBaseline(HashSet<ResourceId>);

impl LeakBaseline {
    pub(crate) fn new(ids: impl Iterator<Item = ResourceId>) -> LeakBaseline {
        LeakBaseline(ids.collect())
    }
}

impl LeakReport {
    /// The leaks worst first; the groups in the order of their worst.
    pub(crate) fn new(manager: Label, leaks: Vec<ResourceLeak>) -> LeakReport {
        let mut report = LeakReport {
            manager,
            groups: Vec::new(),
            leaks: Vec::new(),
            allowed: 0,
            stale_rules: Vec::new(),
            notes: Vec::new(),
            footprint: None,
        };
        report.group(leaks);
        report
    }

    fn group(&mut self, leaks: Vec<ResourceLeak>) {
        let mut sites: BTreeMap<&'static Location<'static>, Vec<ResourceLeak>> = BTreeMap::new();
        for leak in leaks {
            sites.entry(leak.created_at).or_default().push(leak);
        }
        let mut groups: Vec<_> = sites.into_iter().collect();
        groups.sort_by_key(|(_, leaks)| leaks.first().map(ResourceLeak::rank));
        let oldest = |leaks: &[ResourceLeak]| leaks.iter().map(|leak| leak.age).max().unwrap_or_default();
        self.groups = groups
            .iter()
            .map(|(created_at, leaks)| LeakGroup { created_at, count: leaks.len(), oldest: oldest(leaks) })
            .collect();
        self.leaks = groups.into_iter().flat_map(|(_, leaks)| leaks).collect();
    }

    fn retain(&mut self, keep: impl FnMut(&ResourceLeak) -> bool) {
        let mut leaks = std::mem::take(&mut self.leaks);
        leaks.retain(keep);
        self.group(leaks);
    }

    /// The leaks, group by group, worst first.
    pub fn leaks(&self) -> &[ResourceLeak] {
        &self.leaks
    }

    /// The lines that made them, the one with the worst first.
    pub fn groups(&self) -> &[LeakGroup] {
        &self.groups
    }

    /// Whether there are no leaks.
    pub fn is_empty(&self) -> bool {
        self.leaks.is_empty()
    }

    /// The rules of an [allow-list](Self::allow) that should go: they matched nothing, or have expired.
    pub fn stale_rules(&self) -> &[StaleRule] {
        &self.stale_rules
    }

    /// What the operating system held for the process when the report was made, where that can be known (Linux):
    /// nobody may have registered it. Displayed, it is all of it; two of them say what [came](Footprint::since).
    pub fn footprint(&self) -> Option<&Footprint> {
        self.footprint.as_ref()
    }

    pub(crate) fn with_footprint(mut self, footprint: Option<Footprint>) -> LeakReport {
        self.footprint = footprint;
        self
    }

    /// Without what was live when the baseline was taken.
    #[must_use = "it is another report"]
    pub fn without(mut self, baseline: &LeakBaseline) -> LeakReport {
        self.retain(|leak| !baseline.0.contains(&leak.id));
        self
    }

    /// Without what the list allows. Its rules that matched nothing, or have expired, are in
    /// [`stale_rules`](Self::stale_rules); an expired rule allows nothing.
    #[must_use = "it is another report"]
    pub fn allow(mut self, list: &LeakAllowList) -> LeakReport {
        let mut verdict = list.judge();
        let before = self.leaks.len();
        self.retain(|leak| !verdict.allows(leak));
        self.allowed += before - self.leaks.len();
        self.stale_rules.extend(verdict.stale());
        self
    }

    /// Without the rules of an allow-list that matched nothing.
    pub(crate) fn without_unmatched(mut self) -> LeakReport {
        self.stale_rules.retain(|rule| rule.expired);
        self
    }

    /// Whether there is anything that a person should hear of.
    pub(crate) fn has_news(&self) -> bool {
        !(self.is_empty() && self.stale_rules.is_empty() && self.notes.is_empty())
    }

    pub(crate) fn with_note(mut self, note: String) -> LeakReport {
        self.notes.push(note);
        self
    }
}

impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (leaks, lines) = (self.leaks.len(), self.groups.len());
        let manager = text::label(&self.manager);
        match leaks {
            0 => write!(f, "no leaks in `{manager}`")?,
            1 => write!(f, "1 leak in `{manager}`")?,
            _ => write!(
                f,
                "{leaks} leaks in `{manager}`, made at {lines} {}",
                if lines == 1 { "line" } else { "lines" }
            )?,
        }
        if self.allowed > 0 {
            write!(f, "; {} more {} allowed", self.allowed, if self.allowed == 1 { "is" } else { "are" })?;
        }
        let mut rest = &self.leaks[..];
        for group in &self.groups {
            let (these, others) = rest.split_at(group.count);
            write_group(f, group, these)?;
            rest = others;
        }
        for rule in &self.stale_rules {
            write!(f, "\n{rule}")?;
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        match &self.footprint {
            Some(footprint) => write!(f, "\nheld by the operating system: {}", footprint.summary()),
            None => Ok(()),
        }
    }
}

fn write_group(f: &mut fmt::Formatter<'_>, group: &LeakGroup, leaks: &[ResourceLeak]) -> fmt::Result {
    let oldest = text::duration(group.oldest);
    write!(f, "\n{}: {}, the oldest for {oldest}", group.created_at, group.count)?;
    for leak in leaks.iter().take(SHOWN) {
        write!(f, "\n  `{}` ({})", text::label(&leak.label), leak.category)?;
        write!(f, " by {}, in `{}`", text::plain(&leak.thread), text::label(&leak.manager))?;
        write!(f, ", for {}: {}", text::duration(leak.age), text::plain(&leak.why()))?;
        match leak.dependents.len() {
            0 => {}
            1 => write!(f, "; 1 depends on it")?,
            count => write!(f, "; {count} depend on it")?,
        }
        for (turn, touches) in leak.touches.iter().enumerate() {
            let when = if turn == 0 { "touched" } else { "before that" };
            write!(f, "\n    {when} {}", text::plain(&touches.to_string()))?;
        }
        if let Some(backtrace) = &leak.backtrace {
            write_frames(f, backtrace)?;
        }
    }
    match leaks.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more"),
    }
}

fn write_frames(f: &mut fmt::Formatter<'_>, backtrace: &Backtrace) -> fmt::Result {
    callers(&backtrace.to_string()).try_for_each(|line| write!(f, "\n    {line}"))
}

/// The frames from the caller of castoff on: what is above is the same in every backtrace.
fn callers(backtrace: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = backtrace.lines().collect();
    let frame = |line: &str| line.trim_start().split_once(": ").map(|(_, name)| name.to_owned());
    let ours = |line: &&str| frame(line).is_some_and(|name| is_ours(&name));
    let last = lines.iter().rposition(ours).map_or(0, |at| at + 1);
    let start = lines[last..].iter().position(|line| frame(line).is_some()).unwrap_or(0) + last;
    lines.into_iter().skip(start)
}

fn is_ours(frame: &str) -> bool {
    frame.trim_start_matches('<').starts_with("castoff::")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::leak::tests::leak;

    #[test]
    fn a_backtrace_begins_with_who_called_castoff() {
        let called = "   0: std::backtrace::Backtrace::force_capture
   1: castoff::leak::trace::trace
             at /src/leak/trace.rs:29:5
   2: core::option::Option<T>::map
   3: <castoff::guard::ResourceGuard<T> as core::ops::Drop>::drop
             at /src/guard.rs:1:2
   4: castoff_shop::open
             at /shop/src/main.rs:7:9
   5: main";
        let shown: Vec<&str> = callers(called).map(str::trim).collect();
        assert_eq!(shown, ["4: castoff_shop::open", "at /shop/src/main.rs:7:9", "5: main"]);
        let all = "   0: shop::open\n             at /shop/src/main.rs:7:9\n   1: main";
        assert!(callers(all).eq(all.lines()));
        assert!(callers("disabled backtrace").eq(["disabled backtrace"]));
    }

    #[test]
    fn a_leak_is_told_with_its_backtrace_where_there_is_one() {
        let shown = |leak| LeakReport::new(Label::from("shop"), vec![leak]).to_string();
        let without = leak("pool");
        let with = ResourceLeak { backtrace: Some(Arc::new(Backtrace::force_capture())), ..without.clone() };
        let (without, with) = (shown(without), shown(with));
        let frames = with.strip_prefix(&*without).expect("it comes last");
        assert!(frames.lines().nth(1).is_some_and(|line| line.starts_with("    ")), "{with}");
    }

    #[test]
    fn what_is_allowed_is_counted_and_said_and_what_is_left_is_news() {
        let list = |rules: &str| LeakAllowList::parse(rules).expect("they are rules");
        let leaks = ["pool", "cache", "server"].map(leak);
        let report = || LeakReport::new(Label::from("shop"), leaks.to_vec());
        let first = |report: &LeakReport| report.to_string().lines().next().map(str::to_owned);
        let one = report().allow(&list("pool until 2999-12-31 because of it"));
        assert_eq!(first(&one).as_deref(), Some("2 leaks in `shop`, made at 1 line; 1 more is allowed"));
        let two = one.allow(&list("cache until 2999-12-31 because of it"));
        assert_eq!(first(&two).as_deref(), Some("1 leak in `shop`; 2 more are allowed"));
        let all = two.allow(&list("* until 2999-12-31 because of it"));
        assert_eq!(first(&all).as_deref(), Some("no leaks in `shop`; 3 more are allowed"));
        assert!(report().has_news() && all.is_empty() && !all.has_news(), "{all}");
        assert!(all.clone().with_note("no list".into()).has_news());
        let unmatched = all.clone().allow(&list("x until 2999-12-31 because of it"));
        assert!(unmatched.has_news() && !unmatched.without_unmatched().has_news());
        let expired = all.allow(&list("pool until 2020-01-01 because of it")).without_unmatched();
        assert!(expired.has_news() && expired.stale_rules().len() == 1, "{expired}");
    }
}
