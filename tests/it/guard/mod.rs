//! The guard in its caller's hands: what dropping, closing and letting go of it do, and what the type
//! promises.

mod auto_traits;
mod close;
mod drop;
mod foreign_code;
mod last_resort;
mod let_go;
mod posted;
mod races;
mod strategy;
mod timeout;
mod unwinding;
mod value;
