//! The same calls on castoff itself. Used by `tests/state_machine` and by the fuzz target.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use castoff::{
    CleanupErrorKind, ManagerConfig, RegisterError, ResourceDefinition, ResourceEvent, ResourceGuard,
    ResourceId, ResourceManager, Subscription, TeardownReport,
};

use super::model::{Ends, Filter, Model, Op, compare};

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    /// Which cleanups ran, as they came.
    ran: Vec<usize>,
    /// How many ends of each listeners heard of.
    ends: HashMap<ResourceId, usize>,
}

impl Seen {
    fn look<R>(&self, look: impl FnOnce(&mut Notes) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) struct Real {
    managers: Vec<ResourceManager>,
    guards: Vec<Option<ResourceGuard<()>>>,
    /// `None`: refused.
    ids: Vec<Option<ResourceId>>,
    seen: Seen,
    /// How much of it has been compared.
    compared: usize,
    /// Where somebody listens, ends go another way.
    listening: Option<Subscription>,
}

impl Real {
    pub(crate) fn new(heard: bool) -> Real {
        let root = ResourceManager::isolated("m0", ManagerConfig::default());
        let seen = Seen::default();
        let hears = seen.clone();
        let listening = heard.then(|| {
            root.subscribe(move |event| {
                let id = match event {
                    ResourceEvent::Cleaned { id, .. } | ResourceEvent::Released { id, .. } => *id,
                    ResourceEvent::CleanupFailed { error } => error.id,
                    _ => return,
                };
                hears.look(|seen| *seen.ends.entry(id).or_default() += 1);
            })
        });
        Real { managers: vec![root], guards: Vec::new(), ids: Vec::new(), seen, compared: 0, listening }
    }

    /// Makes a call, and compares what came of it with what the model says.
    ///
    /// # Errors
    /// The difference.
    pub(crate) fn call(&mut self, op: &Op, model: &Model) -> Result<(), String> {
        self.make(op, model)?;
        let ran: Vec<usize> = self.seen.look(|seen| seen.ran[self.compared..].to_vec());
        self.compared += ran.len();
        compare(model, &ran)?;
        let (live, alive) = (self.managers[0].resource_count(), model.all_alive().len());
        same("live", live, alive)?;
        for (one, id) in self.ids.iter().enumerate() {
            let found = id.is_some_and(|id| self.managers[0].get(id).is_some());
            if found != model.alive(one) {
                return Err(format!("{one} is found: {found}"));
            }
        }
        self.one_outcome_each(model)
    }

    fn make(&mut self, op: &Op, model: &Model) -> Result<(), String> {
        match op {
            Op::Register { manager, needs, tagged, ends } => {
                let cleanup = self.cleanup(self.ids.len(), *ends);
                let mut registration = self.managers[*manager].resource("one");
                registration = registration.depends_on_all(needs.iter().filter_map(|one| self.ids[*one]));
                if *tagged {
                    registration = registration.tag("tagged");
                }
                let made = registration.guard(cleanup);
                self.registered(made.map(|guard| vec![guard]), 1, model)
            }
            Op::Batch { manager, count } => {
                let first = self.ids.len();
                let definition = |at: usize| {
                    let name = format!("{}", first + at);
                    let cleanup = self.cleanup(first + at, Ends::Well);
                    let definition = ResourceDefinition::new(name.clone(), cleanup).named(name);
                    if at > 0 {
                        definition.depends_on_name(format!("{}", first + at - 1))
                    } else {
                        definition
                    }
                };
                let made = self.managers[*manager].register_batch((0..*count).map(definition));
                self.registered(made, *count, model)
            }
            Op::Drop(one) => {
                drop(self.guards[*one].take());
                Ok(())
            }
            Op::Close(one) => self.close(*one, model),
            Op::Release(one) => {
                self.guards[*one].take().map(ResourceGuard::release);
                Ok(())
            }
            Op::Leak(one) => {
                self.guards[*one].take().into_iter().for_each(ResourceGuard::leak);
                Ok(())
            }
            Op::Unregister(one) => {
                let Some(id) = self.ids[*one] else { return Ok(()) };
                same("unregistered", self.managers[0].unregister(id).unwrap_or(false), model.effect.agreed)
            }
            Op::Child(parent) => {
                self.managers.push(self.managers[*parent].child("child"));
                Ok(())
            }
            Op::TearDown { manager, filter, at_once } => {
                let ids = |ones: &[usize]| ones.iter().filter_map(|one| self.ids[*one]).collect::<Vec<_>>();
                let teardown = self.managers[*manager].teardown().concurrency(*at_once);
                let teardown = match filter {
                    Filter::All => teardown,
                    Filter::Tagged => teardown.tag("tagged"),
                    Filter::Only(ones) => teardown.ids(&ids(ones)),
                    Filter::AllBut(ones) => teardown.exclude(&ids(ones)),
                };
                reported(&teardown.run(), model)
            }
            Op::ShutDown(manager) => reported(&self.managers[*manager].shutdown(), model),
        }
    }

    fn cleanup(
        &self,
        one: usize,
        ends: Ends,
    ) -> impl FnOnce() -> Result<(), std::io::Error> + Send + 'static {
        let seen = self.seen.clone();
        move || {
            seen.look(|seen| seen.ran.push(one));
            match ends {
                Ends::Well => Ok(()),
                Ends::WithAnError => Err(std::io::Error::other("as planned")),
                Ends::WithAPanic => std::panic::resume_unwind(Box::new("as planned")),
            }
        }
    }

    fn registered(
        &mut self,
        made: Result<Vec<ResourceGuard<()>>, RegisterError>,
        count: usize,
        model: &Model,
    ) -> Result<(), String> {
        match made {
            Ok(guards) => {
                self.ids.extend(guards.iter().map(|guard| Some(ResourceGuard::id(guard))));
                self.guards.extend(guards.into_iter().map(Some));
                same("refused", false, model.effect.refused)
            }
            Err(error) => {
                self.ids.extend((0..count).map(|_| None));
                self.guards.extend((0..count).map(|_| None));
                let for_that = matches!(error, RegisterError::ShutDown { .. });
                if for_that && model.effect.refused { Ok(()) } else { Err(format!("refused: {error}")) }
            }
        }
    }

    fn close(&mut self, one: usize, model: &Model) -> Result<(), String> {
        let Some(guard) = self.guards[one].take() else { return Ok(()) };
        let closed = ResourceGuard::close(guard);
        let ran = model.effect.ran.contains(&one);
        let deferred = model.alive(one);
        let fits = match (&closed, model.resources[one].ends) {
            (Err(error), _) if deferred => matches!(error.kind, CleanupErrorKind::Deferred { .. }),
            (Ok(()), Ends::Well) => true,
            (Err(error), Ends::WithAnError) => matches!(error.kind, CleanupErrorKind::Failed(_)),
            (Err(error), Ends::WithAPanic) => matches!(error.kind, CleanupErrorKind::Panicked(_)),
            // Somebody else has cleaned or let it go before: the outcome may be known or not.
            (Ok(()), _) => !ran,
            (Err(_), Ends::Well) => false,
        };
        if fits { Ok(()) } else { Err(format!("close of {one}: {closed:?}")) }
    }

    /// Listeners hear one end of each that has ended, and none of others.
    fn one_outcome_each(&self, model: &Model) -> Result<(), String> {
        if self.listening.is_none() {
            return Ok(());
        }
        let known = self.ids.iter().enumerate().filter_map(|(one, id)| id.map(|id| (one, id)));
        for (one, id) in known {
            let heard = self.seen.look(|seen| seen.ends.get(&id).copied().unwrap_or(0));
            same(&format!("ends heard of {one}"), heard, usize::from(!model.alive(one)))?;
        }
        Ok(())
    }

    /// The end of a history: nothing is left, and nothing runs twice or late.
    ///
    /// # Errors
    /// The difference.
    pub(crate) fn finish(mut self, model: &Model) -> Result<(), String> {
        let mut model = model.clone();
        let op = Op::ShutDown(0);
        model.apply(&op);
        self.call(&op, &model)?;
        drop(std::mem::take(&mut self.guards));
        let ran = self.seen.look(|seen| seen.ran.len());
        same("runs by the drops of guards of what is gone", ran, self.compared)
    }
}

fn reported(report: &TeardownReport, model: &Model) -> Result<(), String> {
    same("skipped", report.skipped().len(), model.effect.skipped)?;
    let cleaned = report.cleaned() + report.failed();
    if cleaned > model.effect.ran.len() { Err(format!("{cleaned} cleaned, says {report}")) } else { Ok(()) }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what}: {is:?} instead of {should:?}")) }
}
