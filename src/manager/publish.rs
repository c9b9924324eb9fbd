//! The feature `metrics`: what a manager counts, published for whatever recorder the program has installed.

use std::collections::BTreeSet;

use metrics::{counter, gauge, histogram};

use crate::manager::ResourceManager;
use crate::registry::registry;
use crate::resource::Category;
use crate::stats::ResourceStats;
use crate::unwind::contain;

impl ResourceManager {
    /// Publishes the [`stats`](Self::stats) of this manager and those below through the `metrics` facade: call it once in
    /// a while, or whenever the metrics are asked for. Nothing is published otherwise, so registrations and drops cost
    /// what they cost without the feature.
    ///
    /// Each has a label `manager`, this manager's name:
    ///
    /// | metric | kind | further labels |
    /// |---|---|---|
    /// | `castoff_live_resources`, `castoff_estimated_bytes` | gauge | `category` |
    /// | `castoff_deferred_resources`, `castoff_oldest_resource_seconds` | gauge | |
    /// | `castoff_leaks`: what the last look for leaks found, once there was one | gauge | |
    /// | `castoff_registered_total`, `castoff_released_total` | counter | |
    /// | `castoff_cleanups_total` | counter | `outcome`: `cleaned`, `failed` or `timed_out` |
    /// | `castoff_cleanup_seconds`: the cleanups since it was last published, each to within a hundredth | histogram | |
    ///
    /// The recorder is called with no lock of castoff's held. Its panics are contained; what it had not been told by then
    /// it is told the next time, but for the histogram.
    ///
    /// # Examples
    /// ```
    /// let manager = castoff::ResourceManager::new("shop");
    /// let _pool = manager.guard("pool", || ());
    /// manager.publish_metrics(); // without a recorder: nothing happens
    /// ```
    pub fn publish_metrics(&self) {
        let stats = self.stats();
        let node = self.node();
        // Summed up before the lock of what was published: none of castoff's own is taken under it.
        let latencies = registry().latencies(node);
        let (categories, durations) = {
            let mut published = node.published.lock();
            let now = stats.by_category.iter().map(|(category, _)| category);
            published.categories.extend(now);
            (published.categories.clone(), published.latencies.advance(latencies))
        };
        let manager = String::from(self.name());
        contain(|| publish(&manager, &stats, &categories));
        contain(|| {
            let histogram = histogram!("castoff_cleanup_seconds", "manager" => manager);
            for (seconds, count) in durations {
                histogram.record_many(seconds, count);
            }
        });
    }
}

/// Categories that have nothing live any more are published too, as zero: a gauge stays what it was told last.
fn publish(manager: &str, stats: &ResourceStats, categories: &BTreeSet<Category>) {
    let name = || String::from(manager);
    for category in categories {
        let labels = [("manager", name()), ("category", category.to_string())];
        gauge!("castoff_live_resources", &labels).set(stats.by_category[*category] as f64);
        gauge!("castoff_estimated_bytes", &labels).set(stats.bytes_by_category[*category] as f64);
    }
    gauge!("castoff_deferred_resources", "manager" => name()).set(stats.deferred as f64);
    let oldest = stats.oldest.unwrap_or_default().as_secs_f64();
    gauge!("castoff_oldest_resource_seconds", "manager" => name()).set(oldest);
    if let Some(leaks) = stats.leaks {
        gauge!("castoff_leaks", "manager" => name()).set(leaks as f64);
    }
    counter!("castoff_registered_total", "manager" => name()).absolute(stats.registered);
    counter!("castoff_released_total", "manager" => name()).absolute(stats.released);
    let outcomes = [("cleaned", stats.cleaned), ("failed", stats.failed), ("timed_out", stats.timed_out)];
    for (outcome, count) in outcomes {
        counter!("castoff_cleanups_total", "manager" => name(), "outcome" => outcome).absolute(count);
    }
}
