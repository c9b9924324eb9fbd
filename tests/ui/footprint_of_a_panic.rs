//! Refused: a look at what a test that should panic leaves to the system.

#[castoff::test(footprint)]
#[should_panic]
fn test() {}
