//! Teardowns: the order, what is selected, one outcome each, threads and time, and teardowns that meet one
//! another.

mod changing;
mod concurrency;
mod context;
mod deadline;
mod filters;
mod inside;
mod left;
mod meeting;
mod order;
mod outcomes;
mod shutdown;
mod stretches;
mod stuck;
mod threads;
mod timeouts;
mod waves;
