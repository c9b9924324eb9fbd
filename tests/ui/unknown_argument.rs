//! Refused: an argument that there is not.

#[castoff::test(timeout = "5s")]
fn test() {}
