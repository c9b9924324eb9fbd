//! How the fields that serde does not know are written.

use std::error::Error;
use std::panic::Location;
use std::sync::Arc;

use serde::Serializer;

pub(crate) fn location<S: Serializer>(site: &Location<'static>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(site)
}

pub(crate) fn error<S: Serializer>(
    error: &Arc<dyn Error + Send + Sync>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}
