//! Who made it: backtraces by policy, and scopes that threads and tasks inherit.

use castoff::{Backtraces, ManagerConfig, ResourceManager};

use crate::support::{manager, manager_with};

fn traced(policy: Backtraces) -> ResourceManager {
    manager_with(ManagerConfig::default().backtraces(policy))
}

#[test]
fn no_backtrace_is_kept_unless_asked_for() {
    let manager = manager();
    let _guard = manager.guard("held", || ());
    assert!(manager.detect_leaks()[0].backtrace.is_none());
}

#[test]
fn every_way_to_register_keeps_one_where_all_are_wanted() {
    let manager = traced(Backtraces::Always);
    let pool = manager.guard("short", || ());
    let _value = manager.guard_value("value", 1, |_| ());
    let _built = manager.resource("built").named("name").depends_on(&pool).guard(|| ()).expect("it is free");
    let _batch = manager
        .register_batch([castoff::ResourceDefinition::new("batch", || ())])
        .expect("nothing refuses it");
    let leaks = manager.detect_leaks();
    assert_eq!(leaks.len(), 4);
    for leak in leaks {
        let trace = leak.backtrace.as_ref().unwrap_or_else(|| panic!("{} has none", leak.label));
        let frames = trace.to_string();
        assert!(frames.contains("every_way_to_register_keeps_one_where_all_are_wanted"), "{frames}");
    }
}

#[test]
fn a_report_shows_the_callers_frames_and_none_of_castoffs_own() {
    let manager = traced(Backtraces::Always);
    let _guard = manager.guard("held", || ());
    let text = manager.leak_report().to_string();
    assert!(text.contains("a_report_shows_the_callers_frames_and_none_of_castoffs_own"), "{text}");
    assert!(!text.contains("castoff::manager") && !text.contains("force_capture"), "{text}");
}

#[test]
fn of_one_line_the_first_are_kept_and_then_ever_fewer() {
    let manager = traced(Backtraces::Sampled(4));
    let _guards: Vec<_> = (0..64).map(|n| manager.guard(format!("{n}"), || ())).collect();
    let mut leaks = manager.detect_leaks();
    leaks.sort_by_key(|leak| leak.label.parse::<u32>().expect("its label is a number"));
    let kept: Vec<usize> = (0..64).filter(|n| leaks[*n].backtrace.is_some()).collect();
    assert_eq!(kept[..8], [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(kept.len(), 4 + 4 + 4 + 4 + 4, "{kept:?}");
}

#[test]
fn a_child_traces_as_its_parent_does() {
    let manager = traced(Backtraces::Always);
    let _guard = manager.child("below").guard("held", || ());
    assert!(manager.detect_leaks()[0].backtrace.is_some());
}

#[test]
fn a_thread_that_a_scope_starts_is_in_it() {
    let manager = manager();
    let (names, report) = manager.scope("job 1", |job| {
        let worker = castoff::thread::spawn(|| {
            std::mem::forget(ResourceManager::current().guard("buffer", || ()));
            let inner =
                castoff::thread::spawn(|| std::mem::forget(ResourceManager::current().guard("deep", || ())));
            inner.join().expect("it does not panic");
            std::thread::current().name().map(String::from)
        });
        let name = worker.join().expect("it does not panic");
        assert_eq!(job.resource_count(), 2, "both are the scope's");
        (name, job.resources().into_iter().map(|info| info.thread.to_string()).collect::<Vec<_>>())
    });
    assert_eq!(names.0.as_deref(), Some("job 1"));
    assert_eq!(names.1, ["job 1", "job 1"], "and the evidence names it");
    assert_eq!(report.cleaned(), 2);
}

#[test]
fn outside_of_a_scope_a_thread_is_a_plain_one() {
    let worker = castoff::thread::spawn(|| std::thread::current().name().map(String::from));
    assert_eq!(worker.join().expect("it does not panic"), None);
}

#[cfg(feature = "tokio")]
#[test]
fn a_task_that_a_scope_spawns_is_in_it_at_each_poll_and_no_other_task_is() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    runtime.block_on(async {
        let manager = manager();
        let (_, report) = manager
            .scope_async("job 1", |job| async move {
                let inside = castoff::task::spawn(async {
                    tokio::task::yield_now().await;
                    std::mem::forget(ResourceManager::current().guard("inside", || ()));
                    tokio::task::yield_now().await;
                    castoff::task::spawn(async {
                        std::mem::forget(ResourceManager::current().guard("deep", || ()))
                    })
                    .await
                    .expect("it does not panic");
                });
                let outside = tokio::spawn(async { format!("{:?}", ResourceManager::current()) });
                inside.await.expect("it does not panic");
                assert_eq!(job.resource_count(), 2);
                let outside = outside.await.expect("it does not panic");
                assert!(!outside.contains("job 1"), "{outside}");
            })
            .await;
        assert_eq!(report.cleaned(), 2);
    });
}
