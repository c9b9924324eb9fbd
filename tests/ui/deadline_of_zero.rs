//! Refused: a deadline that has always passed.

#[castoff::test(deadline = "0s")]
fn test() {}
