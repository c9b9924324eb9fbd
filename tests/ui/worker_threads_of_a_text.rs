//! Refused: a number of threads in words.

#[castoff::test(flavor = "multi_thread", worker_threads = "two")]
async fn test() {}
