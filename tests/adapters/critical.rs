//! What must go first: any adapter, adopted in the category `Critical`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use castoff::adapters::{Restore, Timer};
use castoff::{Category, Cleanup, Label, Priority, Resource, ResourceGuard, ResourceManager};

use crate::alone::alone;
use crate::contract::{Case, Hangs, TIMEOUT, manager};

/// A place at a load balancer: given up before anything else goes, so that no more work comes.
struct Place {
    taken: Arc<AtomicBool>,
    stays: bool,
}

impl Resource for Place {
    const CATEGORY: Category = Category::Critical;

    fn label(&self) -> Label {
        Label::from("place at the balancer")
    }

    fn cleanup(&mut self) -> Cleanup {
        let (taken, stays, forced) = (Arc::clone(&self.taken), self.stays, Arc::clone(&self.taken));
        Cleanup::sync(move || {
            while stays && taken.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            taken.store(false, Ordering::SeqCst);
        })
        .last_resort(move || forced.store(false, Ordering::SeqCst))
    }
}

struct Balanced;

impl Case for Balanced {
    type Adopted = Place;
    type Witness = Arc<AtomicBool>;

    fn make() -> (Place, Arc<AtomicBool>) {
        let taken = Arc::new(AtomicBool::new(true));
        (Place { taken: Arc::clone(&taken), stays: false }, taken)
    }

    fn is_over(taken: &Arc<AtomicBool>) -> bool {
        !taken.load(Ordering::SeqCst)
    }

    fn end_first(_: &mut Place, taken: &Arc<AtomicBool>) {
        taken.store(false, Ordering::SeqCst);
    }
}

impl Hangs for Balanced {
    fn make_hanging() -> (Place, Arc<AtomicBool>) {
        let (place, taken) = Balanced::make();
        (Place { stays: true, ..place }, taken)
    }

    fn after(taken: Arc<AtomicBool>) {
        assert!(Balanced::is_over(&taken), "the last resort has given it up");
    }
}

contract!(Balanced);

/// Says its name when it is cleaned.
fn said(manager: &ResourceManager, name: &'static str, order: &Arc<Mutex<Vec<&'static str>>>) -> impl Sized {
    let order = Arc::clone(order);
    manager.guard(name, move || order.lock().unwrap().push(name))
}

#[test]
fn adopted_first_it_still_goes_before_all_that_does_not_depend_on_it() {
    alone(|| {
        let (manager, order) = (manager(), Arc::new(Mutex::new(Vec::new())));
        let (open, seen) = (Arc::new(AtomicBool::new(false)), Arc::clone(&order));
        let gate = Restore::replace("open for orders", Arc::clone(&open), true);
        let gate = manager.resource("open for orders").category(Category::Critical).adopt(gate).unwrap();
        // Would be the last by age alone; both see the gate closed.
        let watch = {
            let (open, order) = (Arc::clone(&open), Arc::clone(&seen));
            manager.guard("server", move || {
                let state = if open.load(Ordering::SeqCst) { "open" } else { "closed" };
                order.lock().unwrap().push(state);
            })
        };
        let pool = said(&manager, "pool", &order);
        let high = manager.resource("high").priority(Priority::High);
        let _high = high.adopt(Timer::once(Duration::from_secs(3600), || ()).unwrap()).unwrap();

        let first = manager.plan().to_string();
        assert!(manager.cleanup().is_success());
        assert!(!open.load(Ordering::SeqCst));
        assert_eq!(*order.lock().unwrap(), ["pool", "closed"]);
        let (at, others) = (first.find("open for orders").unwrap(), ["high", "pool", "server"]);
        assert!(others.iter().all(|other| at < first.find(other).unwrap()), "{first}");
        drop((gate, watch, pool));
    });
}

#[test]
fn a_dependent_goes_before_it_all_the_same_and_as_urgently() {
    alone(|| {
        let (manager, order) = (manager(), Arc::new(Mutex::new(Vec::new())));
        let critical = manager.adopt(Place { taken: Arc::default(), stays: false });
        let there = Arc::clone(&order);
        let low = manager.resource("user of the place").depends_on(&critical).priority(Priority::Low);
        let _low = low.guard(move || there.lock().unwrap().push("user of the place")).unwrap();
        let _other = said(&manager, "other", &order);
        let plan = manager.plan().to_string();
        assert!(manager.cleanup().is_success());
        assert_eq!(*order.lock().unwrap(), ["user of the place", "other"], "{plan}");
    });
}

#[test]
fn its_category_is_what_a_teardown_may_choose_it_by() {
    alone(|| {
        let manager = manager();
        let (place, taken) = Balanced::make();
        let guard = manager.adopt(place);
        let other = manager.guard("other", || ());
        let info = ResourceGuard::info(&guard).unwrap();
        assert_eq!((info.category, info.priority), (Category::Critical, Priority::Critical));
        assert_eq!(info.category.default_timeout(), Duration::from_secs(30));
        let report = manager.teardown().category(Category::Critical).run();
        assert_eq!(report.cleaned(), 1, "{report}");
        assert!(Balanced::is_over(&taken) && TIMEOUT < info.category.default_timeout());
        drop(other);
    });
}
