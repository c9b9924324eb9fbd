//! State that is changed for a while, and put back.

mod directory;
mod env_var;
mod restore;

pub use directory::CurrentDirectory;
pub use env_var::EnvVar;
pub use restore::{Place, Restore};
