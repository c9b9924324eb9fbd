//! Refused: a test that wants a promise.

#[castoff::test]
unsafe fn test() {}
