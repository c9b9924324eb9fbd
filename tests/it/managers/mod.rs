//! Managers and their families: who sees whose resources, where a child stands in the order, how a manager
//! ends, and scopes.

mod across;
mod ends;
mod family;
mod global;
mod places;
mod scopes;
