//! Leaks that are known and put up with, for a reason and for a time: [`LeakAllowList`].

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::finding::ResourceLeak;

const SECONDS_A_DAY: u64 = 86_400;

/// Leaks that are known: which, until when, and why.
///
/// One rule a line; empty lines and those that begin with `#` are skipped:
///
/// ```text
/// orders-* at src/db.rs until 2027-03-31 because the driver closes its pool late
/// "session cache" until 2027-01-15 because it goes with the old login
/// ```
///
/// First the label, in double quotes if it has spaces, where `*` stands for any text; then, if wanted, `at` and the end
/// of the file that made it, with or without `:` and the line; then `until` and the last day (UTC) on which the rule
/// holds; then `because` and the reason. The environment variable `CASTOFF_LEAKS_ALLOW` names the file that checks at
/// the end of the process use.
///
/// # Examples
/// ```
/// use castoff::{LeakAllowList, ResourceManager};
///
/// let list = LeakAllowList::parse(
///     "cache* until 2999-12-31 because it is made once\n\
///      gone until 2999-12-31 because nobody looked\n",
/// )?;
/// let manager = ResourceManager::new("allowed");
/// let _cache = manager.guard("cache of names", || ());
/// let report = manager.leak_report().allow(&list);
/// assert!(report.is_empty());
/// assert_eq!(report.stale_rules().len(), 1, "one rule matched nothing");
/// # Ok::<(), castoff::AllowListError>(())
/// ```
#[derive(Clone, Default, Debug)]
pub struct LeakAllowList {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    text: String,
    line: usize,
    label: String,
    site: Option<String>,
    /// The last day, as a number of days since 1970.
    until: u64,
}

/// A rule of an allow-list that should go.
///
/// # Examples
/// ```
/// let list = castoff::LeakAllowList::parse("pool until 2020-01-01 because of an old bug")?;
/// let report = castoff::ResourceManager::new("stale").leak_report().allow(&list);
/// assert!(report.stale_rules()[0].to_string().contains("has expired"));
/// # Ok::<(), castoff::AllowListError>(())
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct StaleRule {
    /// The rule as it is written.
    pub rule: String,
    /// The line it stands on, from 1.
    pub line: usize,
    /// Whether its last day has passed; else it matched nothing.
    pub expired: bool,
}

impl fmt::Display for StaleRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.expired {
            "has expired: mend the leak or renew it"
        } else {
            "matched nothing: remove it"
        };
        write!(f, "the rule of line {} of the allow-list {what}: {}", self.line, self.rule)
    }
}

/// Why an allow-list can't be used.
///
/// # Examples
/// ```
/// let Err(error) = castoff::LeakAllowList::parse("pool until tomorrow because") else { panic!("no date") };
/// assert!(error.to_string().contains("line 1"));
/// ```
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum AllowListError {
    /// The file can't be read.
    #[error("cannot read the allow-list of leaks {}; check the path", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A rule can't be understood.
    #[error(
        "line {line} of the allow-list of leaks {problem}; write `label [at file[:line]] until YYYY-MM-DD because reason`"
    )]
    Rule {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl LeakAllowList {
    /// Reads the rules of a file.
    ///
    /// # Errors
    /// When the file can't be read, or a rule can't be understood.
    pub fn read(path: impl AsRef<Path>) -> Result<LeakAllowList, AllowListError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path)
            .map_err(|source| AllowListError::Read { path: path.to_owned(), source })?;
        LeakAllowList::parse(&text)
    }

    /// Reads the rules of a text.
    ///
    /// # Errors
    /// When a rule can't be understood.
    pub fn parse(text: &str) -> Result<LeakAllowList, AllowListError> {
        let numbered = text.lines().zip(1..).map(|(line, number)| (line.trim(), number));
        let meant = numbered.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
        let rule =
            |(text, line)| Rule::parse(text, line).map_err(|problem| AllowListError::Rule { line, problem });
        Ok(LeakAllowList { rules: meant.map(rule).collect::<Result<_, _>>()? })
    }

    pub(super) fn judge(&self) -> Verdict<'_> {
        Verdict {
            today: day_of(SystemTime::now()),
            rules: self.rules.iter().map(|rule| (rule, false)).collect(),
        }
    }
}

/// The rules at work: which have matched.
pub(super) struct Verdict<'a> {
    today: u64,
    rules: Vec<(&'a Rule, bool)>,
}

impl Verdict<'_> {
    pub(super) fn allows(&mut self, leak: &ResourceLeak) -> bool {
        let mut allowed = false;
        for (rule, matched) in &mut self.rules {
            if rule.until >= self.today && rule.matches(leak) {
                (*matched, allowed) = (true, true);
            }
        }
        allowed
    }

    pub(super) fn stale(self) -> impl Iterator<Item = StaleRule> {
        let today = self.today;
        self.rules.into_iter().filter(|(_, matched)| !matched).map(move |(rule, _)| StaleRule {
            rule: rule.text.clone(),
            line: rule.line,
            expired: rule.until < today,
        })
    }
}

impl Rule {
    fn parse(text: &str, line: usize) -> Result<Rule, &'static str> {
        let (label, rest) = match text.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or("has a label whose quote does not end")?,
            None => text.find(' ').map(|end| text.split_at(end)).ok_or("has a label and nothing else")?,
        };
        let (which, reason) = rest.split_once(" because").ok_or("does not say `because`")?;
        if reason.trim().is_empty() {
            return Err("gives no reason");
        }
        let (site, until) = which.rsplit_once("until ").ok_or("does not say `until`")?;
        let site = match site.trim() {
            "" => None,
            site => Some(
                site.strip_prefix("at ").ok_or("has something between label and `until`")?.trim().to_owned(),
            ),
        };
        let until = day(until.trim()).ok_or("has no date like 2027-03-31")?;
        Ok(Rule { text: text.to_owned(), line, label: label.to_owned(), site, until })
    }

    fn matches(&self, leak: &ResourceLeak) -> bool {
        let at = |site: &String| {
            let file = leak.created_at.file();
            file.ends_with(site.as_str())
                || format!("{file}:{}", leak.created_at.line()).ends_with(site.as_str())
        };
        matches_pattern(&self.label, &leak.label) && self.site.as_ref().is_none_or(at)
    }
}

/// Whether a text is what a pattern says, where `*` stands for any text.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// As a number of days since 1970-01-01.
fn day_of(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / SECONDS_A_DAY)
}

/// A date as a number of days since 1970-01-01, in the calendar of ISO 8601.
fn day(date: &str) -> Option<u64> {
    let mut parts = date.split('-');
    let (year, month, day): (u64, u64, u64) =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if leap { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *months.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    if parts.next().is_some() || !(1970..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let before: u64 = months.iter().take(month as usize - 1).sum();
    Some(years + before + day - 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn days_are_counted_from_1970() {
        for (date, number) in
            [("1970-01-01", 0), ("1970-12-31", 364), ("2000-02-29", 11_016), ("2026-11-23", 20_780)]
        {
            assert_eq!(day(date), Some(number), "{date}");
        }
        for (day_before, date) in [("2024-02-28", "2024-02-29"), ("2100-02-28", "2100-03-01")] {
            assert_eq!(day(day_before).map(|number| number + 1), day(date), "{date}");
        }
        for (hours, number) in [(0, 20_780), (23, 20_780), (24, 20_781)] {
            let time = UNIX_EPOCH + Duration::from_secs(20_780 * 86_400 + hours * 3_600);
            assert_eq!((day_of(time), day_of(UNIX_EPOCH - Duration::from_secs(1))), (number, 0));
        }
        for wrong in [
            "2026-02-29",
            "2100-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1",
            "2026-01-01-01",
            "tomorrow",
            "1969-12-31",
        ] {
            assert_eq!(day(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_rule_holds_on_its_last_day_and_has_expired_on_the_next() {
        let list = LeakAllowList::parse("pool until 2026-11-23 because of it").expect("a rule");
        let on = |today| Verdict { today, ..list.judge() };
        let leak = crate::leak::tests::leak("pool");
        assert_eq!([20_779, 20_780, 20_781].map(|today| on(today).allows(&leak)), [true, true, false]);
        for (today, expired) in [(20_779, false), (20_780, false), (20_781, true)] {
            let stale: Vec<StaleRule> = on(today).stale().collect();
            assert_eq!((stale.len(), stale[0].expired), (1, expired), "{today}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("a*", "a"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c*", "abcd"),
            ("*", ""),
            ("abc", "abc"),
            ("*b*", "abc"),
        ] {
            assert!(matches_pattern(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a*", "ba"), ("abc", "abcd"), ("a*c", "acd"), ("*bb", "b"), ("a*a", "a")] {
            assert!(!matches_pattern(pattern, text), "{pattern} {text}");
        }
    }
}
