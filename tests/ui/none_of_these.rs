//! Not refused: what all of the others are beside.

#[castoff::test(leaks = "warn", keep_on_failure, deadline = "90s", flavor = "multi_thread", worker_threads = 2)]
async fn test(_manager: castoff::ResourceManager) -> Result<(), String> {
    Ok(())
}
