//! Refused: a runtime of no threads.

#[castoff::test(flavor = "multi_thread", worker_threads = 0)]
async fn test() {}
