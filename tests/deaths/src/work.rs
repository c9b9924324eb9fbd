//! The files, and what it takes to clean them.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use crate::death::{Death, Every, for_ever};

/// Files that each program guards.
pub const FILES: usize = 100;

#[derive(Clone)]
pub struct Work {
    pub folder: PathBuf,
    pub death: Death,
}

impl Work {
    /// The cleanup of each file.
    pub fn cleanups(&self) -> Vec<impl FnOnce() + Send + 'static + use<>> {
        let cleanup = |number: usize| {
            let (work, path) = (self.clone(), self.folder.join(number.to_string()));
            fs::write(&path, "guarded").expect("there is room");
            move || work.clean(number, &path)
        };
        (0..FILES).map(cleanup).collect()
    }

    fn clean(&self, number: usize, path: &std::path::Path) {
        match self.fault(number) {
            Every::Cleans => fs::remove_file(path).expect("it is there"),
            Every::Panics => panic!("cleanup {number} is done for"),
            Every::Hangs => for_ever(),
        }
    }

    pub fn fault(&self, number: usize) -> Every {
        if number % 10 == 9 { self.death.every_tenth } else { Every::Cleans }
    }

    /// Everything is guarded.
    pub fn ready(&self) {
        println!("ready");
        std::io::stdout().flush().expect("the driver listens");
    }
}
