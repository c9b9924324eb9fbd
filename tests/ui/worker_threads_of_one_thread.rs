//! Refused: workers of a runtime without any.

#[castoff::test(worker_threads = 2)]
async fn test() {}
