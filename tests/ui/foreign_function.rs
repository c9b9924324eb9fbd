//! Refused: a test for another language.

#[castoff::test]
extern "C" fn test() {}
