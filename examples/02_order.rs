//! Order: whatever goes first, a cleanup waits for those of everything that depends on it.
//!
//! `cargo run --example 02_order`

use castoff::{Category, RegisterError, ResourceGuard, ResourceManager};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("dropped in the wrong order:");
    let manager = ResourceManager::new("shop");
    let (pool, cache, server) = start(&manager)?;
    drop(pool);
    println!("  (the pool's guard is gone)");
    drop(cache);
    println!("  (the cache's guard is gone)");
    drop(server);

    println!("\ntorn down in one call, after a look at the plan:");
    let _guards = start(&manager)?;
    println!("{}", manager.plan());
    let report = manager.cleanup().into_result()?;
    println!("{report}");
    Ok(())
}

type Guards = (ResourceGuard<()>, ResourceGuard<()>, ResourceGuard<()>);

fn start(manager: &ResourceManager) -> Result<Guards, RegisterError> {
    let pool =
        manager.resource("pool").category(Category::Database).guard(|| println!("  the pool is closed"))?;
    let cache = manager.resource("cache").depends_on(&pool).guard(|| println!("  the cache is flushed"))?;
    let server = manager
        .resource("server")
        .category(Category::Network)
        .depends_on(&cache)
        .depends_on(&pool)
        .guard(|| println!("  the server is stopped"))?;
    Ok((pool, cache, server))
}
