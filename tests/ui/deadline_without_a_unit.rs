//! Refused: a deadline of so many what.

#[castoff::test(deadline = "5")]
fn test() {}
