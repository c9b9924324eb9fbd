//! Refused: the same argument twice.

#[castoff::test(leaks = "warn", leaks = "fail")]
fn test() {}
