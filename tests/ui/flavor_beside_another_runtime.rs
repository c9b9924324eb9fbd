//! Refused: a runtime of castoff's where somebody else has made one.

mod other {
    pub use core::prelude::v1::test;
}

#[castoff::test(flavor = "multi_thread")]
#[other::test]
async fn test() {}
