//! Watching memory over time: what grows is told, by category and by line, and the process's own memory with it.

use std::time::Duration;

use castoff::{Category, MemoryUsage, MemoryWatch, ResourceGuard, ResourceManager, Trend};

use crate::support::{manager, until};

const PAGE: usize = 1 << 20;

/// Nobody looks but the test.
fn watch(manager: &ResourceManager) -> MemoryWatch {
    manager.watch_memory(Duration::MAX).expect("it needs no thread")
}

/// Memory that is really there, with a guard that says so.
fn page(manager: &ResourceManager, category: Category) -> ResourceGuard<std::sync::Arc<Vec<u8>>> {
    let block = std::hint::black_box(vec![1_u8; PAGE]);
    let page = manager.resource("page").category(category).estimated_bytes(PAGE);
    page.guard_value(block, |_| ()).expect("nothing refuses it")
}

fn grown(trend: &Trend) -> (u64, i64) {
    (trend.now, trend.change)
}

#[test]
fn what_grows_is_told_by_category_and_by_line_the_fastest_first() {
    let manager = manager();
    let _before = manager.guard("was there before", || ());
    let watch = watch(&manager);
    let mut pages = Vec::new();
    let child = manager.child("below");
    for _ in 0..64 {
        pages.push(page(&child, Category::File));
        watch.look();
    }
    let _session = manager.guard("session", || ());
    watch.look();
    let growth = watch.growth();
    assert_eq!(growth.looks, 66);
    assert_eq!(grown(&growth.live), (66, 65));
    assert_eq!(grown(&growth.estimated_bytes), (64 << 20, 64 << 20));
    assert!(growth.live.per_minute > 0.0 && growth.estimated_bytes.per_minute > 0.0, "{growth:?}");
    assert_eq!(growth.by_category.len(), 2, "{growth}");
    assert_eq!(growth.by_category[0].category, Category::File);
    assert_eq!(grown(&growth.by_category[0].estimated_bytes), (64 << 20, 64 << 20));
    assert_eq!(grown(&growth.by_category[1].live), (2, 1), "the session, beside what was there");
    assert_eq!(growth.by_site.len(), 2, "what was there before has not grown: {growth}");
    let site = &growth.by_site[0];
    assert_eq!((site.created_at.file(), grown(&site.live)), (file!(), (64, 64)));
    let text = growth.to_string();
    assert!(text.starts_with("memory of `test` over ") && text.contains("\n  file: 64, +"), "{text}");
    assert!(text.contains(&format!("\n  {}: 64, +", site.created_at)), "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_memory_of_the_process_is_watched_with_it() {
    let manager = manager();
    let watch = watch(&manager);
    let before = MemoryUsage::now().expect("this is Linux");
    // More than all the other tests, which come and go meanwhile, can give back.
    let pages: Vec<_> = (0..256).map(|_| page(&manager, Category::Custom("cache"))).collect();
    watch.look();
    let growth = watch.growth();
    let resident = growth.resident.expect("this is Linux");
    assert!(resident.change > 128 << 20 && resident.per_minute > 0.0, "{before:?} {growth:?}");
    assert!(growth.peak >= Some(resident.now), "{growth:?}");
    assert_eq!(growth.estimated_bytes.change, 256 << 20);
    drop(pages);
    watch.look();
    watch.look();
    let latest = watch.growth_over(Duration::ZERO);
    assert!(latest.looks <= 1 && latest.live.change == 0, "{latest:?}");
    assert_eq!(grown(&watch.growth().estimated_bytes), (0, 0), "all of it has gone");
}

#[test]
fn what_comes_and_goes_is_no_growth() {
    let manager = manager();
    let watch = watch(&manager);
    for _ in 0..200 {
        drop(page(&manager, Category::File));
        watch.look();
    }
    let growth = watch.growth();
    assert!(growth.by_category.is_empty() && growth.by_site.is_empty(), "{growth}");
    assert!(growth.looks <= 120, "and it is bounded");
}

#[test]
fn a_thread_looks_by_itself_and_ends_with_the_watch() {
    let manager = manager();
    let watch = manager.watch_memory(Duration::ZERO).expect("a thread can be had");
    until("a few looks", || watch.growth().looks > 3);
    let _guard = manager.guard("new", || ());
    until("it to be seen", || watch.growth().live.change == 1);
    drop(watch);
    #[cfg(target_os = "linux")]
    until("its thread to end", || {
        let threads = std::fs::read_dir("/proc/self/task").expect("this is Linux").flatten();
        let name = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("comm"));
        threads.map(name).all(|name| name.map_or(true, |name| name.trim() != "castoff-memory"))
    });
}

#[test]
fn a_manager_that_is_watched_ends_as_without() {
    let parent = manager();
    let child = parent.child("short");
    let watch = watch(&child);
    drop(child.guard("one", || ()));
    drop(child);
    assert_eq!(parent.stats().registered, 1, "its totals went to its parent");
    watch.look();
    assert_eq!(grown(&watch.growth().live), (0, 0));
}

#[test]
fn it_can_be_used_from_a_cleanup_and_from_many_threads() {
    let manager = manager();
    let watch = std::sync::Arc::new(watch(&manager));
    let there = watch.clone();
    drop(manager.guard("asks", move || {
        there.look();
        assert_eq!(there.growth().live.now, 1, "what is being cleaned is still held");
    }));
    assert_eq!(manager.stats().cleaned, 1);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..100 {
                    let _guard = manager.guard("one of many", || ());
                    watch.look();
                    assert!(watch.growth().live.now <= 4);
                }
            });
        }
    });
}

#[test]
fn of_many_lines_that_grow_the_fastest_are_shown_and_the_others_counted() {
    let manager = manager();
    let watch = watch(&manager);
    let lines: [fn(&ResourceManager) -> ResourceGuard<()>; 12] = [
        |it| it.guard("1", || ()),
        |it| it.guard("2", || ()),
        |it| it.guard("3", || ()),
        |it| it.guard("4", || ()),
        |it| it.guard("5", || ()),
        |it| it.guard("6", || ()),
        |it| it.guard("7", || ()),
        |it| it.guard("8", || ()),
        |it| it.guard("9", || ()),
        |it| it.guard("10", || ()),
        |it| it.guard("11", || ()),
        |it| it.guard("12", || ()),
    ];
    let _guards = lines.map(|line| line(&manager));
    watch.look();
    let growth = watch.growth();
    assert_eq!(growth.by_site.len(), 12, "{growth}");
    let text = growth.to_string();
    assert_eq!(text.matches(file!()).count(), 10, "{text}");
    assert!(text.ends_with("\n  and 2 more"), "{text}");
}
