//! Refused: a runtime for a test that does not await.

#[castoff::test(flavor = "multi_thread")]
fn test() {}
