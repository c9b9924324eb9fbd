//! State that is put back.

#[cfg(unix)]
mod directory;
mod env_var;
mod restore;
