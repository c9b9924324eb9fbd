//! State that is put back.

#[cfg(unix)]
mod directory;
mod restore;
