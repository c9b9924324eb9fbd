//! Refused: a severity that is no text.

#[castoff::test(leaks = 2)]
fn test() {}
