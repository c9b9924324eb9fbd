//! Refused: a test under a condition.

#[castoff::test]
fn test()
where
    (): Sized,
{
}
