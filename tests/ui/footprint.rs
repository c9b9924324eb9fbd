//! Refused: what is not built yet.

#[castoff::test(footprint)]
fn test() {}
