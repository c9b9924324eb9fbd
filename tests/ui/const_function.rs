//! Refused: a test at compile time.

#[castoff::test]
const fn test() {}
