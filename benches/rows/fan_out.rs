//! Asynchronous cleanups that all take their time at once: a teardown against the same futures awaited by hand, on a
//! runtime of the same kind.
//!
//! By hand they are polled outside of tokio's budget for a task (`unconstrained`). Within it a timer that is due says that
//! it is not, once the task has had its share, and a set of very many asks them all again in every turn: a row for scale
//! says what that costs. A task for each, as tokio has it, is the other peer. Neither registers, orders, times or reports
//! anything.

use std::time::{Duration, Instant};

use castoff::{ManagerConfig, ResourceManager};
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, unconstrained};
use tokio::time::sleep;

use super::{Scale, row, thousands};
use crate::measure::Rounds;
use crate::measure::table::{Bound, Table};

/// So many cleanups, so many of them at once, each so long.
#[derive(Clone, Copy)]
struct Crowd {
    size: usize,
    at_once: usize,
    each: Duration,
}

pub(crate) fn crowds(table: &mut Table, scale: &Scale) {
    let (ms, many) = (Duration::from_millis, scale.many);
    let rounds = scale.few_rounds;
    for (size, at_once, each, rounds, bound) in [
        (100, 100, ms(100), rounds, Bound::RatioAtMost(1.5)),
        (10_000, 1_000, ms(1), rounds, Bound::RatioAtMost(3.0)),
        // What is there for scale alone takes seconds.
        (many, many, ms(1), rounds.min(3), Bound::None),
    ] {
        let size = size.min(scale.many);
        crowd_rows(table, Crowd { size, at_once: at_once.min(size), each }, rounds, bound);
    }
}

fn crowd_rows(table: &mut Table, crowd: Crowd, rounds: usize, bound: Bound) {
    let runtime = runtime();
    let rounds = Rounds::run(
        rounds,
        &mut [
            &mut || [runtime.block_on(castoff(crowd))],
            &mut || [runtime.block_on(unconstrained(by_hand(crowd)))],
            &mut || [runtime.block_on(tasks(crowd))],
            &mut || [runtime.block_on(by_hand(crowd))],
        ],
    );
    let Crowd { size, at_once, each } = crowd;
    let what =
        format!("{} cleanups that sleep for {each:?}, {} at once", thousands(size), thousands(at_once));
    for (peer, pair, bound) in [
        ("`run_async` against an `unconstrained` `FuturesUnordered`", (0, 1), bound),
        ("`run_async` against a `JoinSet`", (0, 2), Bound::None),
        ("(for scale) `FuturesUnordered` within tokio's budget, against without", (3, 1), Bound::None),
    ] {
        table.push(row(format!("{what}: {peer}"), &rounds, pair, 1.0, bound));
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be had")
}

/// The teardown alone: what it takes to register is in other rows.
async fn castoff(crowd: Crowd) -> Duration {
    let manager = ResourceManager::isolated("crowd", ManagerConfig::default());
    let guards: Vec<_> =
        (0..crowd.size).map(|_| manager.guard_async("pool", move || sleep(crowd.each))).collect();
    let start = Instant::now();
    let report = manager.teardown().concurrency(crowd.at_once).run_async().await;
    let took = start.elapsed();
    assert_eq!(report.cleaned(), crowd.size, "each cleanup runs");
    drop(guards);
    took
}

async fn by_hand(crowd: Crowd) -> Duration {
    let start = Instant::now();
    let sleeps = (0..crowd.size).map(|_| sleep(crowd.each));
    let ended = if crowd.at_once >= crowd.size {
        sleeps.collect::<FuturesUnordered<_>>().count().await
    } else {
        stream::iter(sleeps).buffer_unordered(crowd.at_once).count().await
    };
    let took = start.elapsed();
    assert_eq!(ended, crowd.size, "each future ends");
    took
}

/// A task for each, and no more than so many at once.
async fn tasks(crowd: Crowd) -> Duration {
    let start = Instant::now();
    let (mut set, mut ended) = (JoinSet::new(), 0);
    for _ in 0..crowd.size {
        if set.len() >= crowd.at_once {
            ended += usize::from(set.join_next().await.is_some());
        }
        set.spawn(sleep(crowd.each));
    }
    while set.join_next().await.is_some() {
        ended += 1;
    }
    let took = start.elapsed();
    assert_eq!(ended, crowd.size, "each task ends");
    took
}
