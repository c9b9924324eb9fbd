//! Who listens hears of each leak once, and of its end.

use castoff::{ManagerConfig, ResourceEvent, ResourceGuard, ResourceManager};

use crate::support::{Recorder, manager};

fn of_leaks(recorder: &Recorder) -> Vec<String> {
    let word = |event: &ResourceEvent| match event {
        ResourceEvent::LeakDetected { leak } => Some(format!("leak {}", leak.label)),
        ResourceEvent::Unleaked { label, .. } => Some(format!("unleaked {label}")),
        _ => None,
    };
    recorder.events().iter().filter_map(word).collect()
}

#[test]
fn a_leak_is_told_of_once_however_often_somebody_looks() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    let _guard = manager.guard("held", || ());
    for _ in 0..3 {
        assert_eq!(manager.detect_leaks().len(), 1);
        assert!(!manager.leak_report().is_empty());
    }
    assert_eq!(of_leaks(&recorder), ["leak held"]);
}

#[test]
fn its_end_is_told_whichever_way_it_comes() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    type End = fn(ResourceGuard<()>);
    let ends: [(&str, End); 4] = [
        ("dropped", drop),
        ("closed", |guard| ResourceGuard::close(guard).expect("it can't fail")),
        ("released", ResourceGuard::release),
        ("torn down", std::mem::forget),
    ];
    for (label, end) in ends {
        let guard = manager.guard(label, || ());
        assert_eq!(manager.detect_leaks().len(), 1);
        end(guard);
        assert!(manager.cleanup().is_success());
        assert_eq!(of_leaks(&recorder).last(), Some(&format!("unleaked {label}")));
    }
    assert_eq!(of_leaks(&recorder).len(), 8, "each was told of twice: {:?}", of_leaks(&recorder));
}

#[test]
fn what_was_never_told_of_ends_without_a_word() {
    // In no tree where another test may listen.
    let manager = ResourceManager::isolated("quiet", ManagerConfig::default());
    let guard = manager.guard("quiet", || ());
    assert_eq!(manager.detect_leaks().len(), 1, "nobody listens");
    let recorder = Recorder::on(&manager);
    drop(guard);
    assert_eq!(of_leaks(&recorder), [""; 0]);
}

#[test]
fn many_leaks_found_by_two_threads_at_once_are_told_of_once_each() {
    let manager = manager();
    let recorder = Recorder::on(&manager);
    let guards: Vec<_> = (0..500).map(|n| manager.guard(format!("leak {n}"), || ())).collect();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert!(manager.detect_leaks().len() <= 500));
        }
        scope.spawn(|| drop(guards));
    });
    assert!(manager.detect_leaks().is_empty());
    let mut words = of_leaks(&recorder);
    let told = words.len();
    words.sort();
    words.dedup();
    assert_eq!(words.len(), told, "nothing was told of twice");
    let leaks = words.iter().filter(|word| word.starts_with("leak ")).count();
    assert_eq!(leaks * 2, told, "each leak that was told of was told to have ended");
}
