//! Refused: a look at some of it.

#[castoff::test(footprint = "threads")]
fn test() {}
