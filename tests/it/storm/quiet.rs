//! Panics that tests raise on purpose, told apart by their first words and kept out of the output: thousands of
//! expected messages would hide the one that matters.

use std::panic::PanicHookInfo;
use std::sync::Once;

/// How the message of a panic on purpose begins.
pub(crate) const ON_PURPOSE: &str = "on purpose: ";

/// Silences panics whose message begins with [`ON_PURPOSE`], for the whole process; every other one goes on to the
/// hook that was there before.
pub(crate) fn hush() {
    static HUSHED: Once = Once::new();
    HUSHED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !message(info).starts_with(ON_PURPOSE) {
                before(info);
            }
        }));
    });
}

fn message<'p>(info: &'p PanicHookInfo<'_>) -> &'p str {
    let payload = info.payload();
    payload
        .downcast_ref::<String>()
        .map_or_else(|| payload.downcast_ref::<&str>().copied().unwrap_or_default(), String::as_str)
}
