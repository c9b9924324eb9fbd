//! A category that fits into a register: castoff's own are named, names of one's own are numbered as they come.

use once_cell::race::OnceBox;

use super::Category;

/// So many names of one's own have a number: most programs have a handful. Who comes later has to keep its name itself.
const NUMBERED: usize = 200;

/// The names by their numbers; what has none yet stands behind all that have. Nobody waits in here for anybody, and so no
/// forked child for who is gone.
static NAMES: [OnceBox<&'static str>; NUMBERED] = [const { OnceBox::new() }; NUMBERED];

/// A [`Category`] in two bytes.
#[derive(Clone, Copy)]
pub(crate) enum Known {
    Critical,
    Database,
    File,
    Process,
    Network,
    Timer,
    Event,
    /// A name of one's own, by its number.
    Named(u8),
}

impl Category {
    /// The same in two bytes. `None` for a name of one's own that comes after too many others.
    #[inline]
    pub(crate) fn known(self) -> Option<Known> {
        Some(match self {
            Category::Critical => Known::Critical,
            Category::Database => Known::Database,
            Category::File => Known::File,
            Category::Process => Known::Process,
            Category::Network => Known::Network,
            Category::Timer => Known::Timer,
            Category::Event => Known::Event,
            Category::Custom(name) => return numbered(name),
        })
    }
}

#[inline(never)]
fn numbered(name: &'static str) -> Option<Known> {
    let is_here = |here: &OnceBox<&'static str>| *here.get_or_init(|| Box::new(name)) == name;
    NAMES.iter().zip(0..).find(|(here, _)| is_here(here)).map(|(_, number)| Known::Named(number))
}

impl From<Known> for Category {
    #[inline]
    fn from(known: Known) -> Category {
        match known {
            Known::Critical => Category::Critical,
            Known::Database => Category::Database,
            Known::File => Category::File,
            Known::Process => Category::Process,
            Known::Network => Category::Network,
            Known::Timer => Category::Timer,
            Known::Event => Category::Event,
            Known::Named(number) => Category::Custom(named(number)),
        }
    }
}

fn named(number: u8) -> &'static str {
    NAMES[usize::from(number)].get().expect("a number is given out when its name is there")
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn there_and_back(category: Category) -> Option<Category> {
        category.known().map(Category::from)
    }

    #[test]
    fn each_is_itself_and_takes_two_bytes() {
        use Category::{Critical, Custom, Database, Event, File, Network, Process, Timer};
        for category in [Critical, Database, File, Process, Network, Timer, Event, Custom("lease")] {
            assert_eq!(there_and_back(category), Some(category));
        }
        assert_eq!((size_of::<Known>(), size_of::<Option<Known>>()), (2, 2));
    }

    #[test]
    fn names_alike_are_one_and_threads_agree_on_their_numbers() {
        const KINDS: [&str; 8] =
            ["kind a", "kind b", "kind c", "kind d", "kind e", "kind f", "kind g", "kind h"];
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    for kind in KINDS.map(Category::Custom) {
                        assert_eq!(there_and_back(kind), Some(kind));
                    }
                });
            }
        });
        let numbered = NAMES.iter().filter_map(|here| here.get()).filter(|name| name.starts_with("kind "));
        assert_eq!(numbered.count(), KINDS.len(), "each has one number");
    }
}
