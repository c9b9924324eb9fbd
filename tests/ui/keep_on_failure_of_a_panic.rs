//! Refused: keeping what a test that should panic holds.

#[castoff::test(keep_on_failure)]
#[should_panic]
fn test() {}
