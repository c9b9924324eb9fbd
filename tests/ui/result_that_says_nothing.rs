//! Refused: a result that is neither good nor bad.

#[castoff::test]
fn test() -> u8 {
    0
}
