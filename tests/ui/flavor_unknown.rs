//! Refused: a flavour that there is not.

#[castoff::test(flavor = "threaded")]
async fn test() {}
