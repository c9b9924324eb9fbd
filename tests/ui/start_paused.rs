//! Refused: what another attribute does.

#[castoff::test(start_paused = true)]
async fn test() {}
