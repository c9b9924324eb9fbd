//! A value in shared state, replaced and put back.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};

use castoff::adapters::{Place, Restore};

use crate::contract::{Case, Hangs, manager, printed};

struct Level;

/// The place, and who holds its lock, if anybody does.
struct Shared {
    level: Arc<Mutex<&'static str>>,
    holder: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Case for Level {
    type Adopted = Restore<Arc<Mutex<&'static str>>>;
    type Witness = Shared;

    fn make() -> (Self::Adopted, Shared) {
        let level = Arc::new(Mutex::new("warn"));
        let replaced = Restore::replace("log level", Arc::clone(&level), "debug");
        (replaced, Shared { level, holder: None })
    }

    fn is_over(shared: &Shared) -> bool {
        *shared.level.lock().unwrap() == "warn"
    }

    fn end_first(_: &mut Self::Adopted, shared: &Shared) {
        *shared.level.lock().unwrap() = "warn";
    }
}

impl Hangs for Level {
    fn make_hanging() -> (Self::Adopted, Shared) {
        let (replaced, mut shared) = Level::make();
        let ((release, released), (hold, held)) = (mpsc::channel::<()>(), mpsc::channel());
        let level = Arc::clone(&shared.level);
        let holder = thread::spawn(move || {
            let _locked = level.lock().unwrap();
            hold.send(()).unwrap();
            released.recv().ok();
        });
        held.recv().unwrap();
        shared.holder = Some((release, holder));
        (replaced, shared)
    }

    fn after(mut shared: Shared) {
        let (release, holder) = shared.holder.take().unwrap();
        drop(release);
        holder.join().unwrap();
        // Late, but it does what it was to do: nobody has taken the old value from it.
        crate::alone::until("the value to be put back late", || Level::is_over(&shared));
    }
}

contract!(Level);

#[test]
fn guards_dropped_newest_first_put_the_first_value_back() {
    let (manager, level) = (manager(), Arc::new(RwLock::new(1)));
    let first = manager.adopt(Restore::replace("level", Arc::clone(&level), 2));
    let second = manager.adopt(Restore::replace("level", Arc::clone(&level), 3));
    assert_eq!(*level.read().unwrap(), 3);
    drop((second, first));
    assert_eq!(*level.read().unwrap(), 1);
}

#[test]
fn a_place_whose_user_panicked_is_put_back() {
    let level = Arc::new(Mutex::new("warn"));
    let guard = manager().adopt(Restore::replace("level", Arc::clone(&level), "debug"));
    let poison = Arc::clone(&level);
    thread::spawn(move || {
        let _locked = poison.lock();
        panic!("with the lock held");
    })
    .join()
    .unwrap_err();
    drop(guard);
    assert_eq!(level.exchange("error"), "warn");
}

#[test]
fn what_is_printed_of_it_is_whether_it_still_has_the_old_value_and_never_the_value() {
    let secret = Arc::new(Mutex::new("old secret"));
    assert_eq!(
        printed(Restore::replace("password", Arc::clone(&secret), "new secret")),
        [
            "Restore { label: Label(\"password\"), old: held, .. }",
            "Restore { label: Label(\"password\"), old: gone, .. }"
        ]
    );
    assert_eq!(*secret.lock().unwrap(), "old secret");
}
