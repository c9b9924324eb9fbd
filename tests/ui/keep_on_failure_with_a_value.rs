//! Refused: a value where none belongs.

#[castoff::test(keep_on_failure = true)]
fn test() {}
