//! Pools of sqlx.

use std::io::ErrorKind;

use sqlx::{Database, Error, Pool};

use crate::adapters::pause::Pause;
use crate::cleanup::Cleanup;
use crate::id::Label;
use crate::resource::{Category, Resource};

/// Cleaned, it hands out no connections any more, and those that are out are closed as they come back; the cleanup waits
/// for that. So what uses the pool depends on it, and is cleaned first: else this ends at its timeout. There is no last
/// resort: nobody can take a connection from who has it.
///
/// Its label says which database; with the feature `sqlx-postgres`, for PostgreSQL, also where and whose, but no password.
///
/// ```
/// # #[cfg(feature = "sqlx")] {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use castoff::{ResourceGuard, ResourceManager};
///
/// let pool = ResourceManager::new("shop").adopt(sqlx::SqlitePool::connect("sqlite::memory:").await?);
/// sqlx::query("SELECT 1").execute(&*pool).await?;
/// assert!(ResourceGuard::close_async(pool).await.is_ok());
/// # Ok::<(), sqlx::Error>(())
/// # })?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<DB: Database> Resource for Pool<DB> {
    const CATEGORY: Category = Category::Database;

    fn label(&self) -> Label {
        Label::from(format!("pool of {}", address(self)))
    }

    fn cleanup(&mut self) -> Cleanup {
        let pool = self.clone();
        Cleanup::future(move || async move {
            pool.close().await;
            // sqlx 0.8 comes back while connections are out where others were idle, and leaves the one open that came back
            // last while it waited.
            let mut pause = Pause::default();
            while pool.size() > 0 {
                tokio::time::sleep(pause.next()).await;
                pool.close().await;
            }
        })
    }
}

/// What may be shown of where a pool's connections lead.
// Not `to_url_lossy`: of sqlx 0.8 it panics for an SQLite database in memory and for a PostgreSQL server on a socket.
pub(super) fn address<DB: Database>(pool: &Pool<DB>) -> String {
    #[cfg(feature = "sqlx-postgres")]
    if let Some(options) = postgres(&*pool.connect_options()) {
        return options;
    }
    let _ = pool;
    DB::NAME.to_owned()
}

#[cfg(feature = "sqlx-postgres")]
fn postgres(options: &dyn std::any::Any) -> Option<String> {
    let options = options.downcast_ref::<sqlx::postgres::PgConnectOptions>()?;
    let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
    let database = options.get_database().unwrap_or(user);
    Some(format!("postgres://{user}@{host}:{port}/{database}"))
}

/// Whether a server has no such session any more, and so nothing that belonged to it.
pub(super) fn is_gone(error: &Error) -> bool {
    match error {
        Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::BrokenPipe
                | ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionReset
                | ErrorKind::NotConnected
                | ErrorKind::UnexpectedEof
        ),
        // PostgreSQL: ended by an administrator, or with the server.
        Error::Database(error) => matches!(error.code().as_deref(), Some("57P01" | "57P02" | "57P03")),
        _ => false,
    }
}
