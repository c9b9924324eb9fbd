//! How a report is written by serde: the figures beside the data that they follow from, for who reads it with
//! neither this crate nor a calculator at hand.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::report::TeardownReport;

impl Serialize for TeardownReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("TeardownReport", 14)?;
        report.serialize_field("manager", self.manager())?;
        report.serialize_field("is_success", &self.is_success())?;
        report.serialize_field("is_handed_over", &self.is_handed_over())?;
        report.serialize_field("processed", &self.processed())?;
        report.serialize_field("cleaned", &self.cleaned())?;
        report.serialize_field("failed", &self.failed())?;
        report.serialize_field("timed_out", &self.timed_out())?;
        report.serialize_field("unlisted", &self.unlisted())?;
        report.serialize_field("duration", &self.duration())?;
        report.serialize_field("timeline", self.timeline())?;
        report.serialize_field("skipped", self.skipped())?;
        report.serialize_field("errors", self.errors())?;
        report.serialize_field("by_category", self.by_category())?;
        report.serialize_field("critical_path", self.critical_path())?;
        report.end()
    }
}
