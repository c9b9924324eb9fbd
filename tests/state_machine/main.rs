//! The state machine of a tree of managers, by proptest: whatever calls come in whatever order, each does what a small
//! model says, and what fails is shrunk to a few calls.
//!
//! `CASTOFF_CASES` sets the number of histories (500 unless told); 20,000 are:
//!
//!   CASTOFF_CASES=20000 cargo test --release --test state_machine
//!
//! What has failed once is kept in `tests/state_machine/regressions.txt`, and tried first.

mod model;
mod real;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, FileFailurePersistence};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use model::{Ends, Filter, Model, Op};
use real::Real;

struct Managers;

/// The model, and whether somebody listens.
#[derive(Clone, Debug)]
struct Watched {
    model: Model,
    heard: bool,
}

impl ReferenceStateMachine for Managers {
    type State = Watched;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Watched> {
        any::<bool>().prop_map(|heard| Watched { model: Model::new(), heard }).boxed()
    }

    fn transitions(state: &Watched) -> BoxedStrategy<Op> {
        let model = &state.model;
        let manager = 0..model.managers();
        let mut all = vec![
            (12, register(model)),
            (
                1,
                (manager.clone(), 2_usize..4)
                    .prop_map(|(manager, count)| Op::Batch { manager, count })
                    .boxed(),
            ),
            (2, manager.clone().prop_map(Op::Child).boxed()),
            (3, tear_down(model)),
        ];
        // Seldom of the root: nothing is registered after that.
        if model.managers() > 1 {
            all.push((1, (1..model.managers()).prop_map(Op::ShutDown).boxed()));
        }
        let held = model.held();
        if !held.is_empty() {
            let one = || select(held.clone());
            all.push((6, one().prop_map(Op::Drop).boxed()));
            all.push((3, one().prop_map(Op::Close).boxed()));
            all.push((2, one().prop_map(Op::Release).boxed()));
            all.push((1, one().prop_map(Op::Leak).boxed()));
        }
        if !model.resources.is_empty() {
            all.push((1, (0..model.resources.len()).prop_map(Op::Unregister).boxed()));
        }
        proptest::strategy::Union::new_weighted(all).boxed()
    }

    fn apply(mut state: Watched, op: &Op) -> Watched {
        state.model.apply(op);
        state
    }

    fn preconditions(state: &Watched, op: &Op) -> bool {
        state.model.allows(op)
    }
}

fn register(model: &Model) -> BoxedStrategy<Op> {
    let model = model.clone();
    let managers = 0..model.managers();
    let here = move |manager: usize| {
        let reachable = model.reachable(manager);
        let most = reachable.len().min(3);
        (subsequence(reachable, 0..=most), any::<bool>(), ends())
            .prop_map(move |(needs, tagged, ends)| Op::Register { manager, needs, tagged, ends })
    };
    managers.prop_flat_map(here).boxed()
}

fn ends() -> impl Strategy<Value = Ends> {
    prop_oneof![6 => Just(Ends::Well), 1 => Just(Ends::WithAnError), 1 => Just(Ends::WithAPanic)]
}

fn tear_down(model: &Model) -> BoxedStrategy<Op> {
    let known = model.resources.len();
    let some = || vec(0..known.max(1), usize::from(known > 0)..=known.min(4));
    let filter = prop_oneof![
        2 => Just(Filter::All),
        1 => Just(Filter::Tagged),
        1 => some().prop_map(Filter::Only),
        1 => some().prop_map(Filter::AllBut),
    ];
    (0..model.managers(), filter, select(&[1_usize, 3][..]))
        .prop_map(|(manager, filter, at_once)| Op::TearDown { manager, filter, at_once })
        .boxed()
}

/// castoff beside the model.
struct Tried;

impl StateMachineTest for Tried {
    type SystemUnderTest = (Real, Model);
    type Reference = Managers;

    fn init_test(state: &Watched) -> (Real, Model) {
        (Real::new(state.heard), state.model.clone())
    }

    fn apply((mut real, _): (Real, Model), state: &Watched, op: Op) -> (Real, Model) {
        if let Err(difference) = real.call(&op, &state.model) {
            panic!("{difference}\nafter {op:?}");
        }
        (real, state.model.clone())
    }

    fn teardown((real, model): (Real, Model)) {
        if let Err(difference) = real.finish(&model) {
            panic!("{difference}\nat the end");
        }
    }
}

fn cases() -> u32 {
    let text = std::env::var("CASTOFF_CASES").unwrap_or_else(|_| "500".into());
    text.parse().unwrap_or_else(|_| panic!("CASTOFF_CASES is {text:?}, not a number"))
}

prop_state_machine! {
    #![proptest_config(Config {
        cases: cases(),
        max_shrink_iters: 20_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/state_machine/regressions.txt"))),
        ..Config::default()
    })]

    #[test]
    fn every_call_does_what_the_model_says(sequential 1..40 => Tried);
}
