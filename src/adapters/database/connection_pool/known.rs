//! The pools whose ways are known.

use super::ConnectionPool;

/// What it lends knows its pool, which lives until the last of them has come back.
#[cfg(feature = "r2d2")]
impl<M: r2d2::ManageConnection> From<r2d2::Pool<M>> for ConnectionPool<r2d2::Pool<M>> {
    /// Takes the pool, which must have no other handle if it is to end.
    fn from(pool: r2d2::Pool<M>) -> Self {
        ConnectionPool::blocking("pool of r2d2", pool, |pool: &r2d2::Pool<M>| {
            let state = pool.state();
            state.connections.saturating_sub(state.idle_connections) as usize
        })
    }
}

#[cfg(feature = "bb8")]
impl<M: bb8::ManageConnection> From<bb8::Pool<M>> for ConnectionPool<bb8::Pool<M>> {
    /// Takes the pool, which must have no other handle if it is to end. Borrow by `get_owned` what has to outlive the
    /// handle.
    fn from(pool: bb8::Pool<M>) -> Self {
        ConnectionPool::awaiting("pool of bb8", pool, |pool: &bb8::Pool<M>| {
            let state = pool.state();
            state.connections.saturating_sub(state.idle_connections) as usize
        })
    }
}

#[cfg(feature = "deadpool")]
impl<M, W> From<deadpool::managed::Pool<M, W>> for ConnectionPool<deadpool::managed::Pool<M, W>>
where
    M: deadpool::managed::Manager + 'static,
    W: From<deadpool::managed::Object<M>> + 'static,
{
    /// Takes the pool. Its other handles are closed with it.
    fn from(pool: deadpool::managed::Pool<M, W>) -> Self {
        let pool =
            ConnectionPool::awaiting("pool of deadpool", pool, |pool: &deadpool::managed::Pool<M, W>| {
                let status = pool.status();
                // Those that have an object and those that wait for one to be made: deadpool tells them apart by its size.
                status.size.saturating_sub(status.available) + status.waiting
            });
        pool.closed_by(deadpool::managed::Pool::close)
    }
}
