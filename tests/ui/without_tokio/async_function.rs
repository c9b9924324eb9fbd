//! Refused: a test that awaits, where castoff has no runtime for it.

#[castoff::test]
async fn test() {}
