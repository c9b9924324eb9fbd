//! Refused: a look at a process where somebody else's runtime goes on.

mod other {
    pub use core::prelude::v1::test;
}

#[castoff::test(footprint)]
#[other::test]
async fn test() {}
