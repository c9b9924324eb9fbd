//! Refused: a test of a value.

struct Suite;

impl Suite {
    #[castoff::test]
    fn test(&self) {}
}
