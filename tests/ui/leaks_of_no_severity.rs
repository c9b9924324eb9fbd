//! Refused: a severity that there is not.

#[castoff::test(leaks = "error")]
fn test() {}
