//! State that is put back.

mod restore;
