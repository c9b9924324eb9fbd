//! Refused: threads, and nobody knows how many.

#[castoff::test(flavor = "multi_thread", worker_threads)]
async fn test() {}
