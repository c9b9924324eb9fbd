//! State that is changed for a while, and put back.

mod directory;
mod restore;

pub use directory::CurrentDirectory;
pub use restore::{Place, Restore};
