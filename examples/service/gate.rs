//! Whether the service takes orders, and what it says about itself: state that is changed while it runs and put back at
//! its end.
//!
//! The gate is of the category `Critical`: the first of all to go, so that nothing new comes in while the rest ends. The
//! sign is like any other resource.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use castoff::adapters::Restore;
use castoff::{Category, ResourceGuard, ResourceManager};

use crate::Result;
use crate::checklist::Finding;

pub(crate) const LABEL: &str = "gate";

const CLOSED: &str = "closed";
static SIGN: Mutex<&str> = Mutex::new(CLOSED);

/// Asked before each order.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<AtomicBool>);

impl Gate {
    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

pub(crate) struct Opened {
    pub(crate) gate: Gate,
    _sign: ResourceGuard<Restore<&'static Mutex<&'static str>>>,
    _gate: ResourceGuard<Restore<Arc<AtomicBool>>>,
}

pub(crate) fn open(manager: &ResourceManager) -> Result<Opened> {
    let gate = Gate::default();
    let sign = manager.adopt(Restore::replace("sign", &SIGN, "open"));
    let opened = manager
        .resource(LABEL)
        .category(Category::Critical)
        .description("lets orders in")
        .adopt(Restore::replace(LABEL, Arc::clone(&gate.0), true))?;
    Ok(Opened { gate, _sign: sign, _gate: opened })
}

pub(crate) fn is_put_back() -> Finding {
    match *SIGN.lock().expect("no holder panics") {
        CLOSED => Ok(CLOSED.to_owned()),
        other => Err(format!("the sign says {other}")),
    }
}
