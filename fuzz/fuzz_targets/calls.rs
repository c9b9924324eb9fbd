//! Calls read from bytes: whatever they are, castoff does what the model of `tests/state_machine` says, and touches no
//! memory that is not its own.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/state_machine/model.rs"]
mod model;
#[path = "../../tests/state_machine/real.rs"]
mod real;

use model::{Ends, Filter, Model, Op};
use real::Real;

/// A history of more is as good as two.
const MOST: usize = 120;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes(bytes);
    let mut model = Model::new();
    let mut real = Real::new(bytes.next() % 2 == 1);
    let mut story = Vec::new();
    while let Some(op) = bytes.call(&model) {
        if story.len() == MOST {
            break;
        }
        model.apply(&op);
        story.push(op.clone());
        if let Err(difference) = real.call(&op, &model) {
            panic!("{difference}\nafter {story:#?}");
        }
    }
    if let Err(difference) = real.finish(&model) {
        panic!("{difference}\nat the end of {story:#?}");
    }
});

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    /// What is missing is zero.
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self, below: usize) -> usize {
        usize::from(self.next()) % below.max(1)
    }

    fn of(&mut self, some: &[usize]) -> Option<usize> {
        (!some.is_empty()).then(|| some[self.number(some.len())])
    }

    fn several(&mut self, some: &[usize]) -> Vec<usize> {
        let mut ones: Vec<usize> = (0..self.number(4)).filter_map(|_| self.of(some)).collect();
        ones.sort_unstable();
        ones.dedup();
        ones
    }

    /// The next call that can be made, until the bytes are used up.
    fn call(&mut self, model: &Model) -> Option<Op> {
        while !self.0.is_empty() {
            let found = self.any(model).filter(|op| model.allows(op));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn any(&mut self, model: &Model) -> Option<Op> {
        let kind = self.next() % 20;
        let manager = |bytes: &mut Self| bytes.number(model.managers());
        let held = |bytes: &mut Self| bytes.of(&model.held());
        let known: Vec<usize> = (0..model.resources.len()).collect();
        Some(match kind {
            0..8 => self.register(model),
            8..11 => Op::Drop(held(self)?),
            11 => Op::Close(held(self)?),
            12 => Op::Release(held(self)?),
            13 => Op::Leak(held(self)?),
            14 => Op::Unregister(self.of(&known)?),
            15 => Op::Child(manager(self)),
            16 => Op::Batch { manager: manager(self), count: 2 + self.number(3) },
            17 => Op::ShutDown(manager(self)),
            _ => {
                let (manager, at_once) = (manager(self), if self.next() % 4 == 0 { 3 } else { 1 });
                let filter = match self.next() % 4 {
                    0 => Filter::Tagged,
                    1 => Filter::Only(self.several(&known)),
                    2 => Filter::AllBut(self.several(&known)),
                    _ => Filter::All,
                };
                Op::TearDown { manager, filter, at_once }
            }
        })
    }

    fn register(&mut self, model: &Model) -> Op {
        let manager = self.number(model.managers());
        let needs = self.several(&model.reachable(manager));
        let more = self.next();
        let ends = match more % 8 {
            0 => Ends::WithAnError,
            1 => Ends::WithAPanic,
            _ => Ends::Well,
        };
        Op::Register { manager, needs, tagged: more >= 128, ends }
    }
}
