//! A step of a cleanup with its type erased, small ones without a box: most capture a few words, and an allocation costs
//! as much as all the rest of a registration.
//!
//! Invariant: `words` hold a value of the type that `kind` was made for, from [`Work::new`] until `begin` or `drop`
//! takes it out, which is the last thing that happens to a `Work`.
#![allow(unsafe_code)] // A value in a place without a type.

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};

use crate::cleanup::{CleanupContext, Course};

/// What a step is made of: a closure, or one that makes a future.
pub(crate) trait Step: Send + 'static {
    /// Whether beginning makes a future.
    const IS_ASYNC: bool = false;

    /// Does it, or makes the future that does it.
    fn begin(self, context: &CleanupContext) -> Course;
}

/// Words that a step may have without a box.
const INLINE: usize = 3;

type Word = MaybeUninit<*mut ()>;
type Words = [Word; INLINE];

/// A step, ready to run once.
pub(crate) struct Work {
    kind: &'static Kind,
    words: Words,
    /// As the step: it can be sent, and that is all.
    not_sync: PhantomData<*mut ()>,
}

// SAFETY: what is inside is a `Step`, which is `Send`.
unsafe impl Send for Work {}

/// What can be done with the words.
struct Kind {
    is_async: bool,
    /// Begins the step that these words are. One by one, so that they come in registers.
    begin: unsafe fn(Word, Word, Word, &CleanupContext) -> Course,
    /// Drops the step in the words.
    drop: unsafe fn(*mut Words),
}

/// The kind of a step that lies in the words itself.
struct Inline<S>(PhantomData<S>);

impl<S: Step> Inline<S> {
    const FITS: bool = size_of::<S>() <= size_of::<Words>() && align_of::<S>() <= align_of::<Words>();
    const KIND: &'static Kind = &Kind { is_async: S::IS_ASYNC, begin: Self::begin, drop: Self::drop };

    /// # Safety
    /// It fits.
    #[inline]
    unsafe fn put(step: S) -> Work {
        let mut words: Words = [const { MaybeUninit::uninit() }; INLINE];
        // SAFETY: the caller's promise: there is room, and it is aligned.
        unsafe { (&raw mut words).cast::<S>().write(step) };
        Work { kind: Self::KIND, words, not_sync: PhantomData }
    }

    /// # Safety
    /// The words hold an `S`, and nobody uses them afterwards.
    unsafe fn begin(first: Word, second: Word, third: Word, context: &CleanupContext) -> Course {
        let words: Words = [first, second, third];
        // SAFETY: the caller's promise.
        unsafe { (&raw const words).cast::<S>().read() }.begin(context)
    }

    /// # Safety
    /// The words hold an `S`, and nobody uses them afterwards.
    unsafe fn drop(words: *mut Words) {
        // SAFETY: the caller's promise.
        unsafe { words.cast::<S>().drop_in_place() };
    }
}

/// A step that is too large.
impl<S: Step> Step for Box<S> {
    const IS_ASYNC: bool = S::IS_ASYNC;

    fn begin(self, context: &CleanupContext) -> Course {
        (*self).begin(context)
    }
}

impl Work {
    #[inline]
    pub(crate) fn new<S: Step>(step: S) -> Work {
        if Inline::<S>::FITS {
            // SAFETY: just seen.
            unsafe { Inline::put(step) }
        } else {
            // SAFETY: a box is one word.
            unsafe { Inline::put(Box::new(step)) }
        }
    }

    /// Moves a step to a place that holds none, word by word: a core that has just written words one at a time waits
    /// before it can read two of them at once, as a plain move would have it do.
    #[inline(always)]
    pub(crate) fn hand_over(from: &mut Option<Work>, to: &mut Option<Work>) {
        let Some(work) = from else { return };
        let [first, second, third] = &work.words;
        // SAFETY: a reference, and so there to be read. Volatile, because nothing else keeps two reads apart.
        let read = |word: &Word| unsafe { std::ptr::from_ref(word).read_volatile() };
        let words = [read(first), read(second), read(third)];
        Work { kind: work.kind, words, not_sync: PhantomData }.put(to);
        std::mem::forget(from.take());
    }

    /// Takes a step out of its place and begins it. `None` where there is none.
    #[inline(always)]
    pub(crate) fn begin_at(place: &mut Option<Work>, context: &CleanupContext) -> Option<Course> {
        let work = place.as_ref()?;
        let (kind, [first, second, third]) = (work.kind, work.words);
        std::mem::forget(place.take());
        // SAFETY: the invariant: the words have been taken out, and are begun here alone.
        Some(unsafe { (kind.begin)(first, second, third, context) })
    }

    /// Puts a step into a place that holds none.
    #[inline(always)]
    pub(crate) fn put(self, place: &mut Option<Work>) {
        // There is nothing to drop: the compiler cannot know.
        std::mem::forget(place.replace(self));
    }

    #[inline]
    pub(crate) fn is_async(&self) -> bool {
        self.kind.is_async
    }

    #[inline(always)]
    pub(crate) fn begin(self, context: &CleanupContext) -> Course {
        let work = ManuallyDrop::new(self);
        let [first, second, third] = work.words;
        // SAFETY: the invariant, and nothing uses the words afterwards: this is not dropped.
        unsafe { (work.kind.begin)(first, second, third, context) }
    }
}

impl Drop for Work {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the invariant: `begin` forgets what it has taken out.
        unsafe { (self.kind.drop)(&raw mut self.words) };
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;

    use super::*;
    use crate::cleanup::{CleanupReason, work};

    const CONTEXT: CleanupContext = CleanupContext { reason: CleanupReason::Dropped, deadline: None };

    /// A cleanup of so many words besides the one that tells whether it still exists.
    fn of_words<const WORDS: usize>(alive: &Arc<()>) -> Work {
        let (alive, words) = (alive.clone(), [7_usize; WORDS]);
        work(move || {
            let (_alive, words) = (alive, words);
            assert_eq!(words, [7; WORDS]);
        })
    }

    /// Each size is begun, dropped unbegun, and moved about; and what it holds is dropped once.
    fn lives_and_dies<const WORDS: usize>() {
        let alive = Arc::new(());
        assert!(matches!(of_words::<WORDS>(&alive).begin(&CONTEXT), Course::Done(Ok(()))));
        assert_eq!(Arc::strong_count(&alive), 1);

        drop(of_words::<WORDS>(&alive));
        assert_eq!(Arc::strong_count(&alive), 1);

        let mut place = None;
        of_words::<WORDS>(&alive).put(&mut place);
        let moved = [place];
        let [place] = moved;
        assert!(place.is_some_and(|work| matches!(work.begin(&CONTEXT), Course::Done(Ok(())))));
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn small_and_large_ones_run_once_and_drop_once() {
        lives_and_dies::<0>();
        lives_and_dies::<1>();
        lives_and_dies::<2>();
        lives_and_dies::<3>();
        lives_and_dies::<100>();
    }

    #[test]
    fn one_that_panics_has_dropped_what_it_held() {
        let alive = Arc::new(());
        let held = alive.clone();
        let panics = work(move || {
            let _held = held;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert!(catch_unwind(AssertUnwindSafe(|| panics.begin(&CONTEXT))).is_err());
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn one_that_is_aligned_more_than_a_word_lies_where_it_has_to() {
        #[repr(align(64))]
        struct Wide(u8);
        let wide = Wide(3);
        let work = work(move || {
            let wide = wide;
            assert!(std::ptr::from_ref(&wide).addr().is_multiple_of(64) && wide.0 == 3);
        });
        assert!(matches!(work.begin(&CONTEXT), Course::Done(Ok(()))));
    }

    #[test]
    fn one_without_anything_captured_is_fine() {
        assert!(matches!(work(|| ()).begin(&CONTEXT), Course::Done(Ok(()))));
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn three_words_lie_in_it_and_a_place_costs_no_more() {
        assert_eq!(size_of::<Work>(), 32);
        assert_eq!(size_of::<Option<Work>>(), 32);
    }
}
