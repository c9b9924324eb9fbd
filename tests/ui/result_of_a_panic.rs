//! Refused: a result of a test that should panic.

#[castoff::test]
#[should_panic]
fn test() -> Result<(), String> {
    Ok(())
}
