//! Guards that no drop reaches.

use std::cell::{OnceCell, RefCell};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;

use crate::fleet::{Guard, Kind, fleet, global, wait_for_ever};

static HELD: Mutex<Option<[Guard; 3]>> = Mutex::new(None);
static ONCE: OnceLock<[Guard; 3]> = OnceLock::new();

thread_local! {
    static OWN: OnceCell<[Guard; 3]> = const { OnceCell::new() };
}

struct Ring {
    _guards: [Guard; 3],
    next: RefCell<Option<Rc<Ring>>>,
}

pub fn run(case: &str, kind: Kind) -> Option<ExitCode> {
    let guards = || fleet(global(), kind);
    match case {
        "static" => *HELD.lock().expect("nobody has panicked") = Some(guards()),
        "once-cell" => drop(ONCE.set(guards())),
        "thread-local" => OWN.with(|own| drop(own.set(guards()))),
        "leaked-box" => drop(Box::leak(Box::new(guards())).len()),
        "rc-cycle" => {
            let ring = Rc::new(Ring { _guards: guards(), next: RefCell::new(None) });
            *ring.next.borrow_mut() = Some(ring.clone());
        }
        "detached-thread" => {
            let (tell, told) = mpsc::channel();
            let guards = guards();
            thread::spawn(move || {
                let _guards = guards;
                tell.send(()).expect("main waits for it");
                wait_for_ever()
            });
            told.recv().expect("the thread has its guards");
        }
        "thread-local-elsewhere" => {
            let (tell, told) = mpsc::channel();
            let guards = guards();
            thread::spawn(move || {
                OWN.with(|own| drop(own.set(guards)));
                tell.send(()).expect("main waits for it");
                wait_for_ever()
            });
            told.recv().expect("the thread has its guards");
        }
        _ => return None,
    }
    Some(ExitCode::from(9))
}
