//! The operations of a history: each is made concrete, asked of the real manager, and compared with what the naive
//! model says of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use castoff::{
    CleanupError, CleanupErrorKind, DependencyError, Label, OnSuccess, OnUnwind, RegisterError, ResourceId,
    UnregisterError,
};

use super::history::{Cleans, Ending, LetGo, Profile};
use super::naive::{State, Unit};
use super::outcome::{check_kind, label, names, same};
use super::probe::{Event, Guard, keep};
use super::replay::Replay;
use crate::storm::quiet::ON_PURPOSE;

/// One of several, by a number that may be anything.
pub(super) fn pick(from: &[usize], number: usize) -> Option<usize> {
    (!from.is_empty()).then(|| from[number % from.len()])
}

impl Replay {
    pub(super) fn register(
        &mut self,
        manager: usize,
        needs: &[usize],
        need_a_gone_one: bool,
        profile: &Profile,
    ) -> Result<(), String> {
        let manager = pick(&self.open_managers(), manager).expect("the root's handle stays");
        let allowed = self.allowed_dependencies(manager);
        let mut needs: Vec<usize> = needs.iter().filter_map(|&number| pick(&allowed, number)).collect();
        let gone = pick(&self.gone(), needs.len()).filter(|_| need_a_gone_one);
        needs.extend(gone);

        let resource = self.naive.register(manager, needs.clone(), profile.clone());
        let cycle = self.naive.has_cycle();
        self.trace.push(format!("register r{resource} in m{manager}, needs {needs:?}, {profile:?}"));
        let result = self.really_register(resource, manager, &needs, profile)?;

        let refused = gone.is_some() || cycle;
        let fits = match &result {
            Ok(_) => !refused,
            Err(RegisterError::DependencyGone { id, .. }) => gone.is_some_and(|one| self.id(one) == *id),
            Err(RegisterError::Cycle { path, .. }) => cycle && self.is_cycle(path),
            Err(_) => false,
        };
        if !fits {
            return Err(format!("{:?}; gone: {gone:?}, cycle: {cycle}", result.map(|guard| guard.id())));
        }
        self.ids.push(result.as_ref().ok().map(|guard| guard.id()));
        self.guards.push(result.ok());
        if refused {
            let known = &mut self.naive.resources[resource];
            known.needs.clear();
            known.held = false;
            known.state = State::Refused;
        } else {
            self.edges.extend(needs.iter().map(|&on| (resource, on)));
        }
        let at_once = refused && profile.cleans.on_drop(false);
        self.settle(if at_once { std::slice::from_ref(&resource) } else { &[] })
    }

    fn really_register(
        &self,
        resource: usize,
        manager: usize,
        needs: &[usize],
        profile: &Profile,
    ) -> Result<Result<Box<dyn Guard>, RegisterError>, String> {
        let mut registration = self
            .handle(manager)
            .resource(label(resource))
            .category(profile.category)
            .tags(profile.tags.iter().copied())
            .depends_on_all(needs.iter().map(|&on| self.id(on)));
        if let Some(priority) = profile.priority {
            registration = registration.priority(priority);
        }
        let allowed = registration.check().is_ok();
        let log = &self.log;
        let result = match profile.cleans {
            Cleans::Always => keep(registration, resource, profile, log),
            Cleans::OnUnwind => keep(registration.strategy::<OnUnwind>(), resource, profile, log),
            Cleans::OnSuccess => keep(registration.strategy::<OnSuccess>(), resource, profile, log),
        };
        same("check() before the registration", &allowed, &result.is_ok())?;
        Ok(result)
    }

    /// What a new or old resource of a manager may be made to depend on. Nothing outside a running scope comes to
    /// depend on what is in it: the scope's end would have to skip it.
    fn allowed_dependencies(&self, manager: usize) -> Vec<usize> {
        let mut allowed = self.naive.alive_in(0);
        if let Some(scope) = self.scope.filter(|&scope| !self.naive.is_inside(manager, scope)) {
            allowed.retain(|&one| !self.naive.is_inside(self.naive.resources[one].manager, scope));
        }
        allowed
    }

    fn gone(&self) -> Vec<usize> {
        self.registered().into_iter().filter(|&one| !self.naive.alive(one)).collect()
    }

    /// Whether the labels are a way round along dependencies of the naive model, the refused ones included: each needs
    /// the next, and the last is the first again.
    fn is_cycle(&self, path: &[Label]) -> bool {
        let named = |unit: Unit| match unit {
            Unit::Resource(one) => label(one),
            Unit::Manager(manager) => format!("m{manager}"),
        };
        let edges: Vec<_> = self.naive.edges().into_iter().map(|(a, b)| (named(a), named(b))).collect();
        let is_edge = |step: &[Label]| edges.iter().any(|(a, b)| **a == *step[0] && **b == *step[1]);
        path.len() > 1 && path.first() == path.last() && path.windows(2).all(is_edge)
    }

    pub(super) fn let_go(&mut self, number: usize, how: LetGo) -> Result<(), String> {
        let held: Vec<usize> = (0..self.guards.len()).filter(|&one| self.guards[one].is_some()).collect();
        let Some(resource) = pick(&held, number) else { return Ok(()) };
        let guard = self.guards[resource].take().expect("it is held");
        self.trace.push(format!("{how:?} the guard of r{resource}"));

        let dependents = self.naive.dependents(resource);
        let known = &mut self.naive.resources[resource];
        known.held = false;
        let was_live = known.state == State::Live;
        let cleans = match how {
            LetGo::Drop => known.profile.cleans.on_drop(false),
            LetGo::DropWhileUnwinding => known.profile.cleans.on_drop(true),
            LetGo::Close => true,
            LetGo::Release | LetGo::Leak => false,
        };
        let deferred = was_live && cleans && !dependents.is_empty();
        if deferred {
            known.state = State::Deferred;
        } else if was_live && !cleans && how != LetGo::Leak {
            known.state = State::Released;
            self.log.write(Event::LetGo(resource));
        }
        let closed = let_go(guard, how);
        if let Some(result) = closed {
            self.check_closed(resource, &result, &dependents)?;
        }
        self.settle(if was_live && cleans && !deferred { std::slice::from_ref(&resource) } else { &[] })
    }

    /// `close` tells how the cleanup went, whoever ran it, or behind whom it waits.
    fn check_closed(
        &self,
        resource: usize,
        result: &Result<(), CleanupError>,
        dependents: &[usize],
    ) -> Result<(), String> {
        let known = &self.naive.resources[resource];
        let fails = match known.state {
            State::Live | State::Failed => known.profile.ending != Ending::Ends,
            _ => false,
        };
        match result {
            Ok(()) if !fails && known.state != State::Deferred => Ok(()),
            Err(error) if fails => check_kind(&error.kind, resource, known.profile.ending),
            Err(CleanupError { kind: CleanupErrorKind::Deferred { behind }, .. })
                if known.state == State::Deferred && names(behind, dependents, &[]) =>
            {
                Ok(())
            }
            other => {
                Err(format!("close() of r{resource} ({:?}, behind {dependents:?}): {other:?}", known.state))
            }
        }
    }

    pub(super) fn unregister(&mut self, number: usize, through_root: bool) -> Result<(), String> {
        let Some(resource) = pick(&self.registered(), number) else { return Ok(()) };
        let manager = if through_root { 0 } else { self.naive.resources[resource].manager };
        self.trace.push(format!("unregister r{resource} through m{manager}"));
        let dependents = self.naive.dependents(resource);
        let goes = self.naive.alive(resource) && dependents.is_empty();
        if goes {
            self.naive.resources[resource].state = State::Released;
            self.log.write(Event::LetGo(resource));
        }
        match self.handle(manager).unregister(self.id(resource)) {
            Ok(went) if went == goes && (went || !self.naive.alive(resource)) => {}
            Err(UnregisterError::DependentsLive { dependents: seen, .. })
                if self.naive.alive(resource) && names(&seen, &dependents, &[]) => {}
            other => return Err(format!("unregister: {other:?}; its dependents: {dependents:?}")),
        }
        self.settle(&[])
    }

    pub(super) fn depend(
        &mut self,
        dependent: usize,
        dependency: usize,
        on_a_gone_one: bool,
        through_root: bool,
    ) -> Result<(), String> {
        let Some(dependent) = pick(&self.naive.alive_in(0), dependent) else { return Ok(()) };
        let on = if on_a_gone_one {
            pick(&self.gone(), dependency)
        } else {
            pick(&self.allowed_dependencies(self.naive.resources[dependent].manager), dependency)
        };
        let Some(dependency) = on else { return Ok(()) };
        let manager = if through_root { 0 } else { self.naive.common_manager(dependent, dependency) };
        self.trace.push(format!("r{dependent} comes to need r{dependency}, through m{manager}"));

        let (from, to): (ResourceId, ResourceId) = (self.id(dependent), self.id(dependency));
        let result = self.handle(manager).add_dependency(from, to);
        let known = self.naive.resources[dependent].needs.contains(&dependency);
        self.naive.resources[dependent].needs.push(dependency);
        let cycle = self.naive.has_cycle();
        let fits = match &result {
            Ok(()) => self.naive.alive(dependency) && !cycle,
            Err(DependencyError::Gone { id, .. }) => !self.naive.alive(dependency) && *id == to,
            Err(DependencyError::Cycle { path, .. }) => cycle && self.is_cycle(path),
            Err(_) => false,
        };
        if !fits {
            return Err(format!("add_dependency: {result:?}; a cycle: {cycle}"));
        }
        if result.is_err() || known {
            self.naive.resources[dependent].needs.pop();
        } else {
            self.edges.push((dependent, dependency));
        }
        self.settle(&[])
    }
}

/// Lets a guard go; what `close` says comes back.
fn let_go(guard: Box<dyn Guard>, how: LetGo) -> Option<Result<(), CleanupError>> {
    match how {
        LetGo::Drop => drop(guard),
        LetGo::DropWhileUnwinding => {
            let unwound = catch_unwind(AssertUnwindSafe(move || {
                let _guard = guard;
                panic!("{ON_PURPOSE}unwinding past a guard");
            }));
            assert!(unwound.is_err(), "the closure panics");
        }
        LetGo::Close => return Some(guard.close()),
        LetGo::Release => drop(guard.release()),
        LetGo::Leak => guard.leak(),
    }
    None
}
