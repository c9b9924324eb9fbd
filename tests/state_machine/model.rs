//! What castoff promises of one thread's calls, in vectors and loops: which cleanups a call runs, and what is left.
//!
//! Written apart from the model of `tests/it`, and smaller: it says which cleanups run, and of two of which one depends
//! on the other, which goes first. Used by `tests/state_machine` and by the fuzz target.

/// One call. Numbers are of resources and managers, in the order in which they were made.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Register {
        manager: usize,
        needs: Vec<usize>,
        tagged: bool,
        ends: Ends,
    },
    /// So many at once, each needing the one before it.
    Batch {
        manager: usize,
        count: usize,
    },
    Drop(usize),
    Close(usize),
    Release(usize),
    Leak(usize),
    Unregister(usize),
    Child(usize),
    TearDown {
        manager: usize,
        filter: Filter,
        at_once: usize,
    },
    ShutDown(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ends {
    Well,
    WithAnError,
    WithAPanic,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Filter {
    All,
    Tagged,
    Only(Vec<usize>),
    AllBut(Vec<usize>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Live,
    /// Its guard was dropped; it waits for its dependents.
    Deferred,
    /// It will not run any more: it has, or was let go.
    Gone,
}

#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) manager: usize,
    pub(crate) needs: Vec<usize>,
    pub(crate) tagged: bool,
    pub(crate) ends: Ends,
    pub(crate) state: State,
    /// Somebody has its guard.
    pub(crate) held: bool,
}

#[derive(Clone, Debug)]
struct Managed {
    parent: Option<usize>,
    sealed: bool,
}

/// What a call should have done.
#[derive(Clone, Default, Debug)]
pub(crate) struct Effect {
    /// These ran, once each.
    pub(crate) ran: Vec<usize>,
    /// In exactly this order. Else each dependent goes before what it needs.
    pub(crate) in_order: bool,
    /// These registrations were refused, and ran at once.
    pub(crate) refused: bool,
    /// Chosen by a teardown, and not cleaned.
    pub(crate) skipped: usize,
    /// Whether a call that answers with yes or no says yes.
    pub(crate) agreed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) resources: Vec<Known>,
    managers: Vec<Managed>,
    /// What the last call should have done.
    pub(crate) effect: Effect,
}

impl Model {
    pub(crate) fn new() -> Model {
        let root = Managed { parent: None, sealed: false };
        Model { resources: Vec::new(), managers: vec![root], effect: Effect::default() }
    }

    pub(crate) fn managers(&self) -> usize {
        self.managers.len()
    }

    pub(crate) fn alive(&self, one: usize) -> bool {
        self.resources[one].state != State::Gone
    }

    pub(crate) fn all_alive(&self) -> Vec<usize> {
        (0..self.resources.len()).filter(|one| self.alive(*one)).collect()
    }

    pub(crate) fn held(&self) -> Vec<usize> {
        (0..self.resources.len()).filter(|one| self.resources[*one].held).collect()
    }

    /// What a registration here may need: of this manager or one above it, so that no circle can close.
    pub(crate) fn reachable(&self, manager: usize) -> Vec<usize> {
        let all = self.all_alive().into_iter();
        all.filter(|one| self.is_within(manager, self.resources[*one].manager)).collect()
    }

    fn is_within(&self, manager: usize, above: usize) -> bool {
        let parent = |at: &usize| self.managers[*at].parent;
        std::iter::successors(Some(manager), parent).any(|at| at == above)
    }

    /// Whether a call can be made now. What is shrunk or read from bytes may name what is not there.
    pub(crate) fn allows(&self, op: &Op) -> bool {
        let there = |manager: &usize| *manager < self.managers.len();
        let held = |one: &usize| self.resources.get(*one).is_some_and(|known| known.held);
        let known = |one: &usize| *one < self.resources.len();
        match op {
            Op::Register { manager, needs, .. } => {
                there(manager) && needs.iter().all(|one| self.reachable(*manager).contains(one))
            }
            Op::Batch { manager, .. } | Op::Child(manager) | Op::ShutDown(manager) => there(manager),
            Op::Drop(one) | Op::Close(one) | Op::Release(one) | Op::Leak(one) => held(one),
            Op::Unregister(one) => known(one),
            Op::TearDown { manager, filter, .. } => {
                let named = match filter {
                    Filter::Only(ones) | Filter::AllBut(ones) => ones.iter().all(known),
                    Filter::All | Filter::Tagged => true,
                };
                there(manager) && named
            }
        }
    }

    pub(crate) fn apply(&mut self, op: &Op) {
        self.effect = Effect::default();
        match op {
            Op::Register { manager, needs, tagged, ends } => {
                self.register(*manager, needs.clone(), *tagged, *ends);
            }
            Op::Batch { manager, count } => {
                let first = self.resources.len();
                for one in first..first + count {
                    let needs = (first..one).last().into_iter().collect();
                    self.register(*manager, needs, false, Ends::Well);
                }
            }
            Op::Drop(one) | Op::Close(one) => self.let_go(*one),
            Op::Release(one) => {
                self.resources[*one].held = false;
                if self.alive(*one) {
                    self.forget(*one);
                }
            }
            Op::Leak(one) => self.resources[*one].held = false,
            Op::Unregister(one) => {
                if self.alive(*one) && self.dependents(*one).is_empty() {
                    self.effect.agreed = true;
                    self.forget(*one);
                }
            }
            Op::Child(parent) => {
                let sealed = self.managers[*parent].sealed;
                self.managers.push(Managed { parent: Some(*parent), sealed });
            }
            Op::TearDown { manager, filter, .. } => self.tear_down(*manager, filter),
            Op::ShutDown(manager) => {
                self.tear_down(*manager, &Filter::All);
                let below: Vec<usize> =
                    (0..self.managers.len()).filter(|one| self.is_within(*one, *manager)).collect();
                below.into_iter().for_each(|one| self.managers[one].sealed = true);
            }
        }
    }

    fn register(&mut self, manager: usize, needs: Vec<usize>, tagged: bool, ends: Ends) {
        let refused = self.managers[manager].sealed;
        let state = if refused { State::Gone } else { State::Live };
        let known = Known { manager, needs, tagged, ends, state, held: !refused };
        self.resources.push(known);
        if refused {
            self.effect.refused = true;
            self.effect.ran.push(self.resources.len() - 1);
        }
    }

    fn dependents(&self, one: usize) -> Vec<usize> {
        self.all_alive().into_iter().filter(|other| self.resources[*other].needs.contains(&one)).collect()
    }

    fn let_go(&mut self, one: usize) {
        self.resources[one].held = false;
        if !self.alive(one) {
            return;
        }
        if !self.dependents(one).is_empty() {
            self.resources[one].state = State::Deferred;
            return;
        }
        self.effect.in_order = true;
        self.run(one);
        self.run_freed();
    }

    fn forget(&mut self, one: usize) {
        self.resources[one].state = State::Gone;
        self.effect.in_order = true;
        self.run_freed();
    }

    fn run(&mut self, one: usize) {
        self.resources[one].state = State::Gone;
        self.effect.ran.push(one);
    }

    /// What was deferred and has nothing before it any more, the newest first.
    fn run_freed(&mut self) {
        let is_free = |model: &Model, one: &usize| {
            model.resources[*one].state == State::Deferred && model.dependents(*one).is_empty()
        };
        while let Some(one) = (0..self.resources.len()).rev().find(|one| is_free(self, one)) {
            self.run(one);
        }
    }

    fn tear_down(&mut self, manager: usize, filter: &Filter) {
        let wanted = |one: &usize| match filter {
            Filter::All => true,
            Filter::Tagged => self.resources[*one].tagged,
            Filter::Only(ones) => ones.contains(one),
            Filter::AllBut(ones) => !ones.contains(one),
        };
        let inside = |one: &usize| self.is_within(self.resources[*one].manager, manager);
        let chosen: Vec<usize> =
            self.all_alive().into_iter().filter(|one| inside(one) && wanted(one)).collect();
        let mut stays: Vec<usize> =
            self.all_alive().into_iter().filter(|one| !chosen.contains(one)).collect();
        loop {
            let held = |one: &usize| self.dependents(*one).iter().any(|other| stays.contains(other));
            let more: Vec<usize> =
                chosen.iter().copied().filter(|one| !stays.contains(one) && held(one)).collect();
            if more.is_empty() {
                break;
            }
            stays.extend(more);
        }
        let (skipped, cleaned): (Vec<usize>, Vec<usize>) =
            chosen.into_iter().partition(|one| stays.contains(one));
        self.effect.skipped = skipped.len();
        cleaned.into_iter().for_each(|one| self.run(one));
        self.run_freed();
    }
}

/// Whether these are the runs that the effect says, and in an order that it allows.
pub(crate) fn compare(model: &Model, ran: &[usize]) -> Result<(), String> {
    let Effect { ran: expected, in_order, .. } = &model.effect;
    let (mut one, mut other) = (ran.to_vec(), expected.clone());
    one.sort_unstable();
    other.sort_unstable();
    if one != other {
        return Err(format!("ran {ran:?}, and should have run {expected:?}"));
    }
    if *in_order && ran != expected {
        return Err(format!("ran in the order {ran:?} instead of {expected:?}"));
    }
    for (at, dependency) in ran.iter().enumerate() {
        let late = ran[at..].iter().find(|later| model.resources[**later].needs.contains(dependency));
        if let Some(dependent) = late {
            return Err(format!("{dependency} ran before {dependent}, which needs it: {ran:?}"));
        }
    }
    Ok(())
}
