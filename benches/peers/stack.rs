//! A manager full of resources that depend on each other, and the same graph for petgraph alone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use castoff::{ResourceGuard, ResourceId, ResourceManager, TeardownPlan};
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

use super::slab::BoxedCleanup;
use super::{COUNTERS, LABEL, fresh_manager};

/// Who needs whom: resource `i` needs each of `shape[i]`, all of them older.
pub(crate) type Shape = Vec<Vec<usize>>;

/// `size` resources with `each` dependencies on random older ones; the oldest have as many as there are older ones.
/// The same numbers give the same shape in every run.
pub(crate) fn shape(size: usize, each: usize) -> Shape {
    let mut random = SplitMix(0x00C0_FFEE);
    (0..size)
        .map(|resource| {
            let mut chosen = Vec::with_capacity(each);
            while chosen.len() < each.min(resource) {
                let candidate = random.below(resource);
                if !chosen.contains(&candidate) {
                    chosen.push(candidate);
                }
            }
            chosen
        })
        .collect()
}

/// `size` resources of which each needs the one before it.
pub(crate) fn chain(size: usize) -> Shape {
    (0..size).map(|resource| resource.checked_sub(1).into_iter().collect()).collect()
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

/// A manager with one live resource for each entry of a shape.
pub(crate) struct Stack {
    pub(crate) manager: ResourceManager,
    guards: Vec<ResourceGuard<()>>,
}

impl Stack {
    pub(crate) fn build(shape: &Shape) -> Stack {
        let manager = fresh_manager();
        let mut guards: Vec<ResourceGuard<()>> = Vec::with_capacity(shape.len());
        for dependencies in shape {
            let guard = manager
                .resource(LABEL)
                .depends_on_all(dependencies.iter().map(|&dependency| &guards[dependency]))
                .guard(COUNTERS[0].cleanup::<Stack, 0>())
                .expect("a dependency on an older live resource is never refused");
            guards.push(guard);
        }
        Stack { manager, guards }
    }

    /// Tears everything down and gives the time of that call alone: neither building the stack nor dropping its
    /// guards and the report is in it.
    pub(crate) fn tear_down(self) -> Duration {
        self.tear_down_by(1)
    }

    /// The same with so many at once.
    pub(crate) fn tear_down_by(self, concurrency: usize) -> Duration {
        let before = COUNTERS[0].counted();
        let start = Instant::now();
        let report = self.manager.teardown().concurrency(concurrency).run();
        let took = start.elapsed();
        assert_eq!(report.cleaned(), self.guards.len(), "a teardown cleans every resource");
        assert!(report.is_success(), "a teardown of cleanups that cannot fail succeeds");
        if concurrency == 1 {
            // Its counter has one writer at a time; the report counts for several.
            assert_eq!(COUNTERS[0].counted() - before, self.guards.len() as u64, "each cleanup runs once");
        }
        took
    }

    /// Fails unless the plan names every resource once, each before all that it depends on.
    pub(crate) fn check_plan(&self, shape: &Shape, plan: &TeardownPlan) {
        let order = plan.order();
        let place: HashMap<ResourceId, usize> =
            order.iter().enumerate().map(|(place, &id)| (id, place)).collect();
        assert_eq!(order.len(), shape.len(), "a plan names every resource");
        assert_eq!(place.len(), order.len(), "a plan names a resource once");
        for (dependent, dependencies) in self.guards.iter().zip(shape) {
            for &dependency in dependencies {
                let needed = ResourceGuard::id(&self.guards[dependency]);
                assert!(
                    place[&ResourceGuard::id(dependent)] < place[&needed],
                    "a dependent is cleaned first"
                );
            }
        }
    }
}

/// The shape as a petgraph graph with its edges from dependent to dependency.
pub(crate) fn graph(shape: &Shape) -> DiGraph<usize, ()> {
    let edges: usize = shape.iter().map(Vec::len).sum();
    let mut graph = DiGraph::with_capacity(shape.len(), edges);
    for (resource, dependencies) in shape.iter().enumerate() {
        let node = graph.add_node(resource);
        for &dependency in dependencies {
            graph.add_edge(node, NodeIndex::new(dependency), ());
        }
    }
    graph
}

/// petgraph's topological order and nothing else.
pub(crate) fn bare_order(graph: &DiGraph<usize, ()>) -> Vec<NodeIndex> {
    toposort(graph, None).expect("dependencies on older resources form no cycle")
}

/// One boxed cleanup for each resource, in the order of registration.
pub(crate) fn boxed_cleanups(size: usize) -> Vec<Option<BoxedCleanup>> {
    (0..size).map(|_| Some(Box::new(COUNTERS[0].cleanup::<BoxedCleanup, 0>()) as BoxedCleanup)).collect()
}

/// petgraph's order, then every cleanup in that order: the least that a teardown has to do.
pub(crate) fn order_and_run(graph: &DiGraph<usize, ()>, cleanups: &mut [Option<BoxedCleanup>]) {
    for node in bare_order(graph) {
        if let Some(cleanup) = cleanups[graph[node]].take() {
            cleanup();
        }
    }
}

/// The graph made anew, petgraph's order of it, and every cleanup in that order: what has to be done where nothing was
/// kept for the end.
pub(crate) fn build_order_and_run(shape: &Shape, cleanups: &mut [Option<BoxedCleanup>]) {
    order_and_run(&graph(shape), cleanups);
}

/// Kahn's algorithm by hand over the shape as it stands, newest first among what is ready, and every cleanup in that order:
/// the least that anything with dependencies has to do.
pub(crate) fn kahn_and_run(shape: &Shape, cleanups: &mut [Option<BoxedCleanup>]) {
    let mut dependents = vec![0_u32; shape.len()];
    for dependency in shape.iter().flatten() {
        dependents[*dependency] += 1;
    }
    let mut ready: Vec<usize> = (0..shape.len()).filter(|resource| dependents[*resource] == 0).collect();
    while let Some(resource) = ready.pop() {
        if let Some(cleanup) = cleanups[resource].take() {
            cleanup();
        }
        for &dependency in &shape[resource] {
            dependents[dependency] -= 1;
            if dependents[dependency] == 0 {
                ready.push(dependency);
            }
        }
    }
}

/// A plain stack of cleanups, the newest first: no order but that.
pub(crate) fn pop_and_run(cleanups: &mut Vec<Option<BoxedCleanup>>) {
    while let Some(cleanup) = cleanups.pop() {
        if let Some(cleanup) = cleanup {
            cleanup();
        }
    }
}
