//! Refused: a severity that is not said.

#[castoff::test(leaks)]
fn test() {}
