//! A variable of the environment, set or removed, and put back.
//!
//! Each test has a process of its own, in which nothing looks a host up or formats a local time: no thread reads the
//! environment but by `std::env`. That is what each `SAFETY` here stands on.
#![allow(unsafe_code)] // The constructors are unsafe, and so is what somebody else does meanwhile.

use std::env;
use std::ffi::OsStr;
use std::panic;

use castoff::adapters::EnvVar;
use castoff::{Resource, ResourceGuard};

use crate::alone::alone;
use crate::contract::{Case, manager};

const NAME: &str = "CASTOFF_TEST_LEVEL";

fn set(value: &str) -> EnvVar {
    // SAFETY: see the top of this file.
    unsafe { EnvVar::set(NAME, value) }
}

fn remove() -> EnvVar {
    // SAFETY: see the top of this file.
    unsafe { EnvVar::remove(NAME) }
}

/// What somebody else does.
fn put(value: &str) {
    // SAFETY: see the top of this file.
    unsafe { env::set_var(NAME, value) }
}

fn level() -> Option<String> {
    env::var(NAME).ok()
}

mod that_was_there {
    use super::*;

    struct Changed;

    impl Case for Changed {
        type Adopted = EnvVar;
        type Witness = ();

        fn make() -> (EnvVar, ()) {
            put("warn");
            (set("debug"), ())
        }

        fn is_over((): &()) -> bool {
            level().as_deref() == Some("warn")
        }

        fn end_first(_: &mut EnvVar, (): &()) {
            put("warn");
        }
    }

    contract!(Changed, never hangs);
}

mod that_was_not_there {
    use super::*;

    struct Added;

    impl Case for Added {
        type Adopted = EnvVar;
        type Witness = ();

        fn make() -> (EnvVar, ()) {
            (set("debug"), ())
        }

        fn is_over((): &()) -> bool {
            level().is_none()
        }

        fn end_first(_: &mut EnvVar, (): &()) {
            // SAFETY: see the top of this file.
            unsafe { env::remove_var(NAME) }
        }
    }

    contract!(Added, never hangs);
}

mod that_is_removed {
    use super::*;

    struct Removed;

    impl Case for Removed {
        type Adopted = EnvVar;
        type Witness = ();

        fn make() -> (EnvVar, ()) {
            put("warn");
            (remove(), ())
        }

        fn is_over((): &()) -> bool {
            level().as_deref() == Some("warn")
        }

        fn end_first(_: &mut EnvVar, (): &()) {
            put("warn");
        }
    }

    contract!(Removed, never hangs);
}

#[test]
fn what_somebody_else_has_put_in_is_replaced() {
    alone(|| {
        put("warn");
        let guard = manager().adopt(set("debug"));
        put("trace");
        ResourceGuard::close(guard).unwrap();
        assert_eq!(level().as_deref(), Some("warn"));
    });
}

#[test]
fn guards_dropped_newest_first_put_the_first_value_back() {
    alone(|| {
        let manager = manager();
        let first = manager.adopt(set("debug"));
        let second = manager.adopt(remove());
        let third = manager.adopt(set("trace"));
        assert_eq!(third.before(), None);
        drop(third);
        assert_eq!(level(), None);
        drop(second);
        assert_eq!(level().as_deref(), Some("debug"));
        drop(first);
        assert_eq!(level(), None);
    });
}

#[test]
fn a_cleanup_that_is_had_twice_writes_once() {
    alone(|| {
        let manager = manager();
        let guard = manager.adopt(set("debug"));
        assert!(manager.cleanup().is_success());
        let released = ResourceGuard::release(guard);
        put("trace");
        // Its promise is over: whatever is done with it now must not write.
        ResourceGuard::close(manager.adopt(released)).unwrap();
        assert_eq!(level().as_deref(), Some("trace"));
    });
}

#[cfg(unix)] // elsewhere it is the system that refuses a name, and each in its own way
#[test]
fn a_name_that_cannot_be_is_refused_before_anything_is_changed() {
    alone(|| {
        for name in ["", "A=B", "A\0B"] {
            // SAFETY: see the top of this file.
            panic::catch_unwind(|| unsafe { EnvVar::set(name, "debug") }).unwrap_err();
            // SAFETY: see the top of this file.
            panic::catch_unwind(|| unsafe { EnvVar::remove(name) }).unwrap_err();
        }
        // SAFETY: see the top of this file.
        panic::catch_unwind(|| unsafe { EnvVar::set(NAME, "de\0bug") }).unwrap_err();
        assert_eq!(level(), None);
    });
}

#[test]
fn it_tells_its_name_and_never_a_value() {
    alone(|| {
        put("old secret");
        let variable = set("new secret");
        assert_eq!(&*variable.label(), "environment variable CASTOFF_TEST_LEVEL");
        assert_eq!((variable.name(), variable.before()), (OsStr::new(NAME), Some(OsStr::new("old secret"))));
        let told = format!("{variable:?}");
        assert!(told.contains(NAME) && !told.contains("secret"), "{told}");
        drop(manager().adopt(variable));
    });
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_put_back_as_it_was() {
    use std::os::unix::ffi::OsStrExt;

    alone(|| {
        let old = OsStr::from_bytes(b"\xff\xfe");
        // SAFETY: see the top of this file.
        unsafe { env::set_var(NAME, old) };
        drop(manager().adopt(set("debug")));
        assert_eq!(env::var_os(NAME).as_deref(), Some(old));
    });
}

#[cfg(unix)]
#[test]
fn a_child_that_is_started_meanwhile_sees_it() {
    use std::process::Command;

    alone(|| {
        let guard = manager().adopt(set("debug"));
        let child = || Command::new("sh").args(["-c", "printf %s \"$CASTOFF_TEST_LEVEL\""]).output();
        assert_eq!(child().unwrap().stdout, b"debug");
        drop(guard);
        assert_eq!(child().unwrap().stdout, b"");
    });
}
