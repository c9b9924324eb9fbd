//! Real signals to this process, and what hears them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use castoff::ResourceGuard;
use castoff::adapters::SignalHandler;
use signal_hook::SigId;
use signal_hook::consts::SIGUSR2;

use crate::alone::alone;
use crate::contract::{Case, manager};

struct Reload;

fn is_heard(flag: &AtomicBool) -> bool {
    signal_hook::low_level::raise(SIGUSR2).unwrap();
    flag.swap(false, Ordering::SeqCst)
}

impl Case for Reload {
    type Adopted = SignalHandler;
    type Witness = (Arc<AtomicBool>, SigId);

    fn make() -> (SignalHandler, Self::Witness) {
        let flag = Arc::default();
        let id = signal_hook::flag::register(SIGUSR2, Arc::clone(&flag)).unwrap();
        (SignalHandler::new("reload", id), (flag, id))
    }

    fn is_over((flag, _): &Self::Witness) -> bool {
        !is_heard(flag)
    }

    fn end_first(_: &mut SignalHandler, (_, id): &Self::Witness) {
        assert!(signal_hook::low_level::unregister(*id));
    }
}

contract!(Reload, never hangs);

#[test]
fn another_action_for_the_same_signal_stays() {
    alone(|| {
        let ((first, (flag, _)), (second, (other, _))) = (Reload::make(), Reload::make());
        let manager = manager();
        let _first = manager.adopt(first);
        drop(manager.adopt(second));
        assert!(is_heard(&flag) && !other.load(Ordering::SeqCst));
    });
}

#[test]
fn a_released_handler_goes_on_hearing() {
    alone(|| {
        let (handler, (flag, _)) = Reload::make();
        let id = ResourceGuard::release(manager().adopt(handler)).into_inner();
        assert!(is_heard(&flag));
        assert!(signal_hook::low_level::unregister(id));
    });
}
