//! Refused: a test for every type.

#[castoff::test]
fn test<T>() {}
