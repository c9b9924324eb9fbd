//! The graph: dependencies added later, cycles refused with their path, `validate`, and the plan as text, as
//! dot and as mermaid.

use castoff::{
    DependencyError, Label, RegisterError, ResourceDefinition, ResourceGuard, ResourceId, ResourceManager,
};

use crate::support::{LIMIT, OrderLog, manager, watchdog};

fn plain<const N: usize>(manager: &ResourceManager, labels: [&'static str; N]) -> [ResourceGuard<()>; N] {
    labels.map(|label| manager.guard(label, || ()))
}

fn ids<const N: usize>(guards: &[ResourceGuard<()>; N]) -> [ResourceId; N] {
    guards.each_ref().map(ResourceGuard::id)
}

/// The path holds these and no others, each next to the one that it depends on; where it begins, and whether
/// it says the first one again at the end, is open.
#[track_caller]
fn goes_round(path: &[Label], circle: &[&str]) {
    let mut path: Vec<&str> = path.iter().map(|label| &**label).collect();
    if path.len() > 1 && path.first() == path.last() {
        path.pop();
    }
    assert_eq!(path.len(), circle.len(), "{path:?}");
    let start = circle.iter().position(|label| *label == path[0]).expect("a label of the circle");
    let turned: Vec<&str> = circle.iter().copied().cycle().skip(start).take(circle.len()).collect();
    assert_eq!(path, turned);
}

fn path(refused: DependencyError) -> Vec<Label> {
    match refused {
        DependencyError::Cycle { path, .. } => path,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_added_dependency_is_in_both_infos() {
    let manager = manager();
    let guards = plain(&manager, ["server", "pool"]);
    let [server, pool] = ids(&guards);
    manager.add_dependency(server, pool).unwrap();
    assert_eq!(manager.get(server).unwrap().dependencies, [pool]);
    assert_eq!(manager.get(pool).unwrap().dependents, [server]);
}

#[test]
fn a_dependency_added_twice_counts_once() {
    let manager = manager();
    let guards = plain(&manager, ["server", "pool"]);
    let [server, pool] = ids(&guards);
    manager.add_dependency(server, pool).unwrap();
    manager.add_dependency(server, pool).unwrap();
    assert_eq!(manager.get(server).unwrap().dependencies, [pool]);
    let [server_guard, pool_guard] = guards;
    drop(server_guard);
    assert!(ResourceGuard::close(pool_guard).is_ok());
}

#[test]
fn a_resource_cannot_depend_on_itself() {
    let manager = manager();
    let guards = plain(&manager, ["a"]);
    let [a] = ids(&guards);
    let refused = manager.add_dependency(a, a).unwrap_err();
    assert!(refused.to_string().contains('a'), "{refused}");
    goes_round(&path(refused), &["a"]);
    assert!(manager.get(a).unwrap().dependencies.is_empty());
}

#[test]
fn a_cycle_of_two_is_refused_with_its_path_and_changes_nothing() {
    watchdog(LIMIT, || {
        let manager = manager();
        let guards = plain(&manager, ["server", "pool"]);
        let [server, pool] = ids(&guards);
        manager.add_dependency(server, pool).unwrap();
        let refused = manager.add_dependency(pool, server).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("server") && text.contains("pool"), "{text}");
        goes_round(&path(refused), &["pool", "server"]);
        assert!(manager.get(pool).unwrap().dependencies.is_empty());
        assert!(manager.validate().is_ok());
        assert_eq!(manager.plan().order(), [server, pool]);
        assert_eq!(manager.cleanup().cleaned(), 2);
    });
}

#[test]
fn a_cycle_of_five_is_refused_with_its_path() {
    let manager = manager();
    let labels = ["one", "two", "three", "four", "five"];
    let guards = plain(&manager, labels);
    let ids = ids(&guards);
    for pair in ids.windows(2) {
        manager.add_dependency(pair[0], pair[1]).unwrap();
    }
    let refused = manager.add_dependency(ids[4], ids[0]).unwrap_err();
    let text = refused.to_string();
    assert!(labels.iter().all(|label| text.contains(label)), "{text}");
    goes_round(&path(refused), &labels);
}

#[test]
fn two_ways_to_one_dependency_are_no_cycle() {
    let manager = manager();
    let guards = plain(&manager, ["top", "left", "right", "base"]);
    let [top, left, right, base] = ids(&guards);
    for (dependent, dependency) in [(top, left), (top, right), (left, base), (right, base), (top, base)] {
        manager.add_dependency(dependent, dependency).unwrap();
    }
    assert!(manager.validate().is_ok());
}

#[test]
fn the_way_back_is_free_once_the_dependent_is_gone() {
    let manager = manager();
    let [server, pool, cache] = plain(&manager, ["server", "pool", "cache"]);
    let [pool_id, cache_id] = [&pool, &cache].map(ResourceGuard::id);
    manager.add_dependency(ResourceGuard::id(&server), pool_id).unwrap();
    manager.add_dependency(cache_id, ResourceGuard::id(&server)).unwrap();
    assert!(manager.add_dependency(pool_id, cache_id).is_err());
    ResourceGuard::release(server);
    manager.add_dependency(pool_id, cache_id).unwrap();
}

#[test]
fn a_dependency_on_or_of_what_has_ended_is_refused() {
    let manager = manager();
    let [live, ended] = plain(&manager, ["live", "ended"]);
    let (live_id, ended_id) = (ResourceGuard::id(&live), ResourceGuard::id(&ended));
    drop(ended);
    for (dependent, dependency) in [(live_id, ended_id), (ended_id, live_id)] {
        let refused = manager.add_dependency(dependent, dependency);
        assert!(matches!(refused, Err(DependencyError::Gone { id, .. }) if id == ended_id), "{refused:?}");
    }
}

#[test]
fn a_batch_with_a_cycle_of_one_two_or_five_is_refused_with_its_path() {
    for circle in [&["one"][..], &["one", "two"], &["one", "two", "three", "four", "five"]] {
        let (manager, log) = (manager(), OrderLog::new());
        let batch: Vec<ResourceDefinition> = (0..circle.len())
            .map(|at| {
                let definition = ResourceDefinition::new(circle[at], log.cleanup(circle[at]));
                definition.named(circle[at]).depends_on_name(circle[(at + 1) % circle.len()])
            })
            .collect();
        let refused = manager.register_batch(batch).unwrap_err();
        let RegisterError::Cycle { path, .. } = &refused else { panic!("{refused:?}") };
        goes_round(path, circle);
        assert!(circle.iter().all(|label| refused.to_string().contains(label)), "{refused}");
        let newest_first: Vec<&str> = circle.iter().rev().copied().collect();
        log.assert_is(&newest_first);
        assert_eq!(manager.resource_count(), 0);
    }
}

#[test]
fn a_graph_that_was_accepted_is_valid() {
    let manager = manager();
    assert!(manager.validate().is_ok());
    let pool = manager.resource("pool").named("db").guard(|| ()).unwrap();
    let _server = manager.resource("server").depends_on_name("db").guard(|| ()).unwrap();
    let _below = manager.child("child").resource("worker").depends_on(&pool).guard(|| ()).unwrap();
    assert!(manager.validate().is_ok());
    ResourceGuard::release(pool);
    assert!(manager.validate().is_ok());
}

// --- the plan ----------------------------------------------------------------------------------------------

/// A server that depends on a pool, and something newer that neither needs.
fn stack(manager: &ResourceManager) -> [ResourceGuard<()>; 3] {
    let pool = manager.guard("orders pool", || ());
    let server = manager.resource("http server").depends_on(&pool).guard(|| ()).unwrap();
    [server, pool, manager.guard("interval timer", || ())]
}

#[test]
fn a_plan_is_the_order_dry() {
    let manager = manager();
    let guards = stack(&manager);
    let [server, pool, timer] = ids(&guards);
    let plan = manager.plan();
    assert_eq!(plan.order(), [timer, server, pool]);
    assert_eq!(plan.len(), 3);
    assert_eq!(manager.resource_count(), 3);
}

#[test]
fn a_plan_reads_in_its_order() {
    let manager = manager();
    let _guards = plain(&manager, ["orders pool", "http server", "interval timer"]);
    let text = manager.plan().to_string();
    let place = |label: &str| text.find(label).unwrap_or_else(|| panic!("`{label}` is not in: {text}"));
    let places = ["interval timer", "http server", "orders pool"].map(place);
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn the_plan_of_nothing_is_empty_and_can_be_shown() {
    let plan = manager().plan();
    assert_eq!(plan.len(), 0);
    assert!(plan.order().is_empty());
    assert!(plan.to_dot().contains("digraph"));
    assert!(!plan.to_mermaid().is_empty());
    assert!(plan.to_string().len() < 200, "{plan}");
}

#[test]
fn a_plan_in_dot_has_every_resource_and_every_dependency() {
    let manager = manager();
    let _guards = stack(&manager);
    let dot = manager.plan().to_dot();
    assert!(dot.trim_start().starts_with("digraph"), "{dot}");
    assert!(dot.trim_end().ends_with('}'), "{dot}");
    assert!(
        ["orders pool", "http server", "interval timer"].iter().all(|label| dot.contains(label)),
        "{dot}"
    );
    assert_eq!(dot.matches("->").count(), 1, "{dot}");
}

#[test]
fn a_plan_in_mermaid_has_every_resource_and_every_dependency() {
    let manager = manager();
    let _guards = stack(&manager);
    let mermaid = manager.plan().to_mermaid();
    let first = mermaid.trim_start();
    assert!(first.starts_with("graph") || first.starts_with("flowchart"), "{mermaid}");
    assert!(
        ["orders pool", "http server", "interval timer"].iter().all(|label| mermaid.contains(label)),
        "{mermaid}"
    );
    assert_eq!(mermaid.matches("-->").count(), 1, "{mermaid}");
}

#[test]
fn a_label_with_quotes_does_not_break_the_drawings() {
    let manager = manager();
    let _guard = manager.guard("the \"orders\" pool", || ());
    let plan = manager.plan();
    assert!(plan.to_dot().contains(r#"the \"orders\" pool"#), "{}", plan.to_dot());
    assert!(!plan.to_mermaid().contains("the \"orders\" pool"), "{}", plan.to_mermaid());
    assert!(plan.to_mermaid().contains("orders"), "{}", plan.to_mermaid());
}

#[test]
fn a_label_that_ends_in_a_backslash_does_not_swallow_the_quote_after_it() {
    let manager = manager();
    let _guard = manager.guard(r"C:\data\", || ());
    let dot = manager.plan().to_dot();
    assert!(dot.contains(r"C:\\data\\"), "{dot}");
}

#[test]
fn a_label_with_a_line_break_does_not_begin_a_line_of_its_own_in_mermaid() {
    let manager = manager();
    let _guard = manager.guard("orders\npool", || ());
    let mermaid = manager.plan().to_mermaid();
    assert!(!mermaid.lines().any(|line| line.trim_start().starts_with("pool")), "{mermaid}");
}
