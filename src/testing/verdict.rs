//! What a test left behind, and what follows from it.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::config::LeakSeverity;
use crate::leak::LeakReport;
use crate::registry::evidence::Unheard;
use crate::registry::tree::Node;
use crate::report::TeardownReport;
use crate::unwind::contain;

/// What was found when the body had ended.
pub(super) struct Findings {
    /// Why a test that passed fails all the same.
    fault: Option<String>,
    /// What is said and changes nothing.
    warning: Option<String>,
}

impl Findings {
    pub(super) fn new(
        node: &Arc<Node>,
        leaks: Option<(LeakSeverity, LeakReport)>,
        teardown: TeardownReport,
    ) -> Findings {
        let mut faults = Vec::new();
        let mut warning = None;
        match leaks.filter(|(_, report)| report.has_news()) {
            Some((LeakSeverity::Fail, report)) if !report.is_empty() => faults.push(report.to_string()),
            Some((LeakSeverity::Warn | LeakSeverity::Fail, report)) => warning = Some(report.to_string()),
            _ => {}
        }
        let unheard = node.evidence.get().map(|evidence| evidence.take()).unwrap_or_default();
        faults.extend(dropped(unheard, &teardown));
        if !teardown.is_success() {
            faults.push(shown(&teardown));
        }
        // Errors are foreign, and so is their drop.
        contain(move || drop(teardown));
        Findings { fault: (!faults.is_empty()).then(|| faults.join("\n")), warning }
    }

    /// With one more reason to fail.
    #[cfg(feature = "macros")]
    pub(super) fn and(mut self, fault: String) -> Findings {
        self.fault = Some(self.fault.map_or(fault.clone(), |found| format!("{found}\n{fault}")));
        self
    }

    /// The result of the test, unless it panicked, or passed and should not have. `failed`: what it returned says so.
    /// `instead` is returned rather than a panic that would be taken for the one that a test should end in.
    #[track_caller]
    pub(super) fn judge<R>(self, ended: thread::Result<R>, failed: bool, instead: Option<R>) -> R {
        if let Some(warning) = &self.warning {
            say(warning);
        }
        match (ended, self.fault) {
            (Ok(result), None) => result,
            (Err(payload), None) => resume_unwind(payload),
            // A second panic would abort.
            (Ok(result), Some(fault)) if failed || thread::panicking() => {
                say(&fault);
                result
            }
            (Ok(result), Some(fault)) => {
                // Not by the panic: its own would abort then.
                contain(move || drop(result));
                fail(instead, &format!("the test's body passed, but\n{fault}"))
            }
            (Err(payload), Some(fault)) => {
                say(&fault);
                match instead {
                    Some(result) => {
                        contain(move || drop(payload));
                        result
                    }
                    None => resume_unwind(joined(payload, &fault)),
                }
            }
        }
    }
}

/// Fails the test.
#[track_caller]
pub(super) fn fail<R>(instead: Option<R>, message: &str) -> R {
    match instead {
        Some(result) => {
            say(message);
            result
        }
        None => panic!("{message}"),
    }
}

/// Failures that happened when guards were dropped, but for those that the teardown's report has as well.
fn dropped(unheard: Unheard, teardown: &TeardownReport) -> Option<String> {
    let is_reported = |id| teardown.errors().iter().any(|error| error.id == id);
    let news: Vec<_> = unheard.first.iter().filter(|error| !is_reported(error.id)).collect();
    if news.is_empty() && unheard.more == 0 {
        return None;
    }
    // Their messages are foreign code.
    let lines = contain(|| news.iter().map(|error| format!("\n  {error}")).collect::<String>());
    let lines = lines.unwrap_or_else(|| String::from("\n  (an error that panics when it is displayed)"));
    let count = news.len() + unheard.more;
    let more = if unheard.more > 0 { format!("\n  and {} more", unheard.more) } else { String::new() };
    contain(move || drop(unheard));
    let which = if count == 1 { "1 cleanup" } else { &format!("{count} cleanups") };
    Some(format!("{which} failed that a drop had run:{lines}{more}"))
}

fn shown(teardown: &TeardownReport) -> String {
    contain(|| teardown.to_string()).unwrap_or_else(|| {
        format!("the teardown of `{}` failed with an error that panics when displayed", teardown.manager())
    })
}

/// The body's payload, with what was found at the end where it is a text: `#[should_panic(expected = ..)]` looks for
/// either in it, and what catches the panic finds both.
fn joined(payload: Box<dyn Any + Send>, fault: &str) -> Box<dyn Any + Send> {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => *text,
        (_, Some(text)) => text,
        _ => return payload,
    };
    Box::new(format!("{text}\nand besides: {fault}"))
}

/// Says it on stderr, where libtest keeps it with the test's output.
pub(super) fn say(text: &str) {
    // Where stderr is closed there is nobody to tell.
    contain(|| eprintln!("castoff: {text}"));
}
