//! What is left to read afterwards: the report of one teardown, and the statistics of a manager.

mod contents;
mod stats;
mod text;
