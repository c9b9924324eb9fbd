//! Refused: what is no function.

#[castoff::test]
struct Test;
