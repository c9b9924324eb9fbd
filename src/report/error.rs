//! A teardown that did not clean everything, as an error.

use std::fmt;

use crate::report::TeardownReport;

/// A teardown after which not every selected resource is cleaned. It displays the report's table, and as
/// `Debug` too: that is what a test or a `main` that returns it prints.
///
/// # Examples
/// ```
/// use castoff::ResourceManager;
///
/// let manager = ResourceManager::new("orders");
/// let _guard = manager.guard("journal", || Err("disk full"));
/// let Err(error) = manager.cleanup().into_result() else { panic!("the disk is full") };
/// assert_eq!(error.report().failed(), 1);
/// assert!(error.to_string().starts_with("teardown of `orders`: 1 failed, in "));
/// ```
// Boxed, because a report is large and every `Ok` would have to make room for it.
#[derive(thiserror::Error, Clone)]
#[error("{0}")]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TeardownError(Box<TeardownReport>);

impl TeardownError {
    pub(super) fn new(report: TeardownReport) -> TeardownError {
        TeardownError(Box::new(report))
    }

    /// What happened, resource by resource.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("reports");
    /// let _guard = manager.guard("journal", || Err("disk full"));
    /// let Err(error) = manager.cleanup().into_result() else { panic!("the disk is full") };
    /// assert_eq!(error.report().errors()[0].label, "journal");
    /// ```
    pub fn report(&self) -> &TeardownReport {
        &self.0
    }

    /// The report itself.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("reports");
    /// let _guard = manager.guard("journal", || Err("disk full"));
    /// let Err(error) = manager.cleanup().into_result() else { panic!("the disk is full") };
    /// assert!(!error.into_report().is_success());
    /// ```
    pub fn into_report(self) -> TeardownReport {
        *self.0
    }
}

impl fmt::Debug for TeardownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
