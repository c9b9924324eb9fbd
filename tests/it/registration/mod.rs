//! Registering: what can be said of a resource, what is refused and with which words, and what becomes of the
//! refused.

mod adopted;
mod batch;
mod categories;
mod defaults;
mod limits;
mod names;
mod options;
mod refusals;
mod refused;
mod sites;
