//! Real signals to this process, and what hears them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use castoff::adapters::SignalHandler;
use castoff::{CleanupErrorKind, ResourceGuard};
use signal_hook::SigId;
use signal_hook::consts::SIGUSR2;

use crate::alone::{alone, until};
use crate::contract::{Case, TIMEOUT, manager};

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

/// An action that writes to a pipe that nobody reads, in a thread that was sent the signal.
#[cfg(target_os = "linux")]
#[test]
fn an_action_that_hangs_is_waited_for_until_the_cleanup_is_given_up() {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::io::{Read, Write};

    alone(|| {
        let (mut unread, mut pipe) = std::io::pipe().unwrap();
        let blocking = fcntl_getfl(&pipe).unwrap();
        fcntl_setfl(&pipe, blocking | OFlags::NONBLOCK).unwrap();
        while pipe.write(&[0; 4096]).is_ok() {}
        let began = Arc::<AtomicBool>::default();
        // Actions for one signal run in the order in which they came.
        let first = signal_hook::flag::register(SIGUSR2, Arc::clone(&began)).unwrap();
        let hanging = signal_hook::low_level::pipe::register(SIGUSR2, pipe.try_clone().unwrap()).unwrap();
        fcntl_setfl(&pipe, blocking).unwrap();
        drop(pipe);

        let raising = std::thread::spawn(|| signal_hook::low_level::raise(SIGUSR2).unwrap());
        until("the actions to run", || began.load(Ordering::SeqCst));
        let handler = SignalHandler::new("hanging", hanging);
        let guard = manager().resource("hanging").timeout(TIMEOUT).adopt(handler).unwrap();
        let error = ResourceGuard::close(guard).unwrap_err();
        assert!(matches!(error.kind, CleanupErrorKind::TimedOut(_)), "{}", error.kind);

        // What was given up goes on, and is the last to have the pipe.
        let reading = std::thread::spawn(move || unread.read_to_end(&mut Vec::new()).unwrap());
        raising.join().unwrap();
        assert!(reading.join().unwrap() > 0, "it was unregistered late");
        assert!(signal_hook::low_level::unregister(first));
    });
}

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
