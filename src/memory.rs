//! Whether memory can be had: asked before something large is made, where going without is better than the abort
//! that a refused allocation ends in.

/// Whether the allocator has so many bytes in one piece now. They are given back at once: a yes is no promise,
/// but who is told no need not try.
pub(crate) fn has_room(bytes: usize) -> bool {
    Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
}
