//! A history played on real managers and on the naive model side by side. After each operation both must agree on
//! what ran, in which order, what is alive, what each guard says and which values are gone.

use castoff::{ManagerConfig, ResourceId, ResourceManager, ResourceState};

use super::history::{Filter, History, Op};
use super::naive::{Naive, State};
use super::outcome::{label, same};
use super::probe::{Event, Guard, Log};

pub(crate) struct Replay {
    pub(super) naive: Naive,
    /// `None`: the handle was dropped, or the scope has ended. The root's stays.
    pub(super) managers: Vec<Option<ResourceManager>>,
    /// `None`: the registration was refused.
    pub(super) ids: Vec<Option<ResourceId>>,
    pub(super) guards: Vec<Option<Box<dyn Guard>>>,
    pub(super) log: Log,
    /// The log as far as it has been compared.
    pub(super) events: Vec<Event>,
    /// Every dependency that was ever accepted, dependent first.
    pub(super) edges: Vec<(usize, usize)>,
    /// The edges that a forced teardown ignored: it selected the dependency and not the dependent.
    pub(super) cut: Vec<(usize, usize)>,
    /// The manager of the scope whose body is running.
    pub(super) scope: Option<usize>,
    /// What the operations came to, for who reads the failure.
    pub(super) trace: Vec<String>,
}

/// Plays one history. An error tells the whole story up to the difference.
pub(crate) fn replay(history: &History) -> Result<(), String> {
    let mut replay = Replay {
        naive: Naive::new(),
        managers: vec![Some(ResourceManager::isolated("m0", ManagerConfig::default()))],
        ids: Vec::new(),
        guards: Vec::new(),
        log: Log::default(),
        events: Vec::new(),
        edges: Vec::new(),
        cut: Vec::new(),
        scope: None,
        trace: Vec::new(),
    };
    let played = history.0.iter().try_for_each(|op| replay.step(op)).and_then(|()| replay.finish());
    played.map_err(|difference| format!("{difference}\nafter:\n  {}", replay.trace.join("\n  ")))
}

impl Replay {
    pub(super) fn step(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Register { manager, needs, need_a_gone_one, profile } => {
                self.register(*manager, needs, *need_a_gone_one, profile)
            }
            Op::LetGo { guard, how } => self.let_go(*guard, *how),
            Op::Unregister { resource, through_root } => self.unregister(*resource, *through_root),
            Op::Depend { dependent, dependency, on_a_gone_one, through_root } => {
                self.depend(*dependent, *dependency, *on_a_gone_one, *through_root)
            }
            Op::TearDown { manager, filter } => self.tear_down(*manager, filter),
            Op::Child { of } => self.child(*of),
            Op::DropHandle { manager } => self.drop_handle(*manager),
            Op::Scope { of, body } => self.scope(*of, body),
        }
    }

    /// Tears everything down, lets every guard go, and looks at the whole log once more, without the model's help.
    fn finish(&mut self) -> Result<(), String> {
        self.root().validate().map_err(|error| format!("validate(): {error}"))?;
        self.tear_down(0, &Filter::default())?;
        same("resource_count() after cleanup()", &self.root().resource_count(), &0)?;
        self.trace.push("every guard is dropped".to_owned());
        for resource in 0..self.guards.len() {
            if let Some(guard) = self.guards[resource].take() {
                drop(guard);
                self.naive.resources[resource].held = false;
            }
        }
        self.settle(&[])?;
        // Not in each history: adding up the latencies takes an unoptimized build as long as all the rest.
        if self.events.len().is_multiple_of(16) {
            self.check_stats()?;
        }
        self.check_log()
    }

    pub(super) fn root(&self) -> &ResourceManager {
        self.managers[0].as_ref().expect("the root's handle stays")
    }

    pub(super) fn open_managers(&self) -> Vec<usize> {
        (0..self.managers.len()).filter(|&manager| self.managers[manager].is_some()).collect()
    }

    /// A handle for calls about a manager: its own, or the closest above that is left.
    pub(super) fn handle(&self, manager: usize) -> &ResourceManager {
        let way = self.naive.upwards(manager);
        way.into_iter().find_map(|step| self.managers[step].as_ref()).expect("the root's handle stays")
    }

    pub(super) fn id(&self, resource: usize) -> ResourceId {
        self.ids[resource].expect("it was registered")
    }

    pub(super) fn registered(&self) -> Vec<usize> {
        (0..self.ids.len()).filter(|&one| self.ids[one].is_some()).collect()
    }

    /// After each operation: plays back what ran, and compares what can be seen from outside. `must` is what had to
    /// be cleaned, in order, besides deferred resources that were freed.
    pub(super) fn settle(&mut self, must: &[usize]) -> Result<(), String> {
        let new = self.log.since(self.events.len());
        let ran = new.iter().filter_map(|event| if let Event::Ran(one) = event { Some(*one) } else { None });
        let ran: Vec<usize> = ran.collect();
        self.events.extend(new);
        self.trace.push(format!("  ran: {ran:?}"));
        self.naive.follow(must, &ran)?;
        self.check_counts()?;
        self.check_guards()?;
        self.check_values()
    }

    fn check_counts(&self) -> Result<(), String> {
        for manager in self.open_managers() {
            let seen = self.handle(manager).resource_count();
            same(&format!("m{manager}.resource_count()"), &seen, &self.naive.alive_in(manager).len())?;
        }
        Ok(())
    }

    fn check_guards(&self) -> Result<(), String> {
        let held = self.guards.iter().enumerate().filter_map(|(one, guard)| Some((one, guard.as_ref()?)));
        for (resource, guard) in held {
            let wanted = visible(self.naive.resources[resource].state);
            same(&format!("the guard of r{resource}: state()"), &Some(guard.state()), &wanted)?;
        }
        Ok(())
    }

    /// A value is dropped once, when neither a guard nor the registry has it any more, and after its cleanup.
    fn check_values(&self) -> Result<(), String> {
        for (resource, known) in self.naive.resources.iter().enumerate() {
            let drops = self.positions(Event::Dropped(resource));
            let gone = !known.held && !self.naive.alive(resource);
            same(&format!("drops of the value of r{resource}"), &drops.len(), &usize::from(gone))?;
            let too_early = self.positions(Event::Ran(resource)).first() > drops.first() && gone;
            same(&format!("the value of r{resource} was dropped before its cleanup"), &too_early, &false)?;
        }
        Ok(())
    }

    fn positions(&self, event: Event) -> Vec<usize> {
        let at = |(position, seen): (usize, &Event)| (*seen == event).then_some(position);
        self.events.iter().enumerate().filter_map(at).collect()
    }

    /// Everything that a manager tells of its live resources.
    pub(super) fn look(&self) -> Result<(), String> {
        for manager in self.open_managers() {
            let infos = self.handle(manager).resources();
            let alive = self.naive.alive_in(manager);
            let seen: Vec<ResourceId> = infos.iter().map(|info| info.id).collect();
            let wanted: Vec<ResourceId> = alive.iter().map(|&one| self.id(one)).collect();
            same(&format!("m{manager}.resources()"), &seen, &wanted)?;
            for (info, &resource) in infos.iter().zip(&alive) {
                let known = &self.naive.resources[resource];
                let which = label(resource);
                same("its label", &*info.label, which.as_str())?;
                same(&format!("{which}: state"), &Some(info.state), &visible(known.state))?;
                same(&format!("{which}: priority"), &info.priority, &known.profile.effective_priority())?;
                same(&format!("{which}: category"), &info.category, &known.profile.category)?;
                same(&format!("{which}: manager"), &*info.manager, format!("m{}", known.manager).as_str())?;
                let tags: Vec<&str> = info.tags.iter().map(|tag| &**tag).collect();
                same(&format!("{which}: tags"), &tags, &known.profile.tags)?;
                let needs = known.needs.iter().copied().filter(|&on| self.naive.alive(on));
                self.check_ids(&format!("{which}: dependencies"), &info.dependencies, needs)?;
                let dependents = self.naive.dependents(resource).into_iter();
                self.check_ids(&format!("{which}: dependents"), &info.dependents, dependents)?;
            }
        }
        Ok(())
    }

    /// The root's totals, those of ended scopes included.
    fn check_stats(&self) -> Result<(), String> {
        let stats = self.root().stats();
        let total = |state: State| {
            let ended = self.registered().into_iter().filter(|&one| self.naive.resources[one].state == state);
            ended.count() as u64
        };
        same("stats().live", &stats.live, &self.naive.alive_in(0).len())?;
        same("stats().registered", &stats.registered, &(self.registered().len() as u64))?;
        same("stats().cleaned", &stats.cleaned, &total(State::Cleaned))?;
        same("stats().failed", &stats.failed, &total(State::Failed))?;
        same("stats().released", &stats.released, &total(State::Released))?;
        same("stats().timed_out", &stats.timed_out, &0)
    }

    /// In any order.
    fn check_ids(
        &self,
        what: &str,
        seen: &[ResourceId],
        wanted: impl Iterator<Item = usize>,
    ) -> Result<(), String> {
        let mut seen = seen.to_vec();
        let mut wanted: Vec<ResourceId> = wanted.map(|one| self.id(one)).collect();
        seen.sort_unstable();
        wanted.sort_unstable();
        same(what, &seen, &wanted)
    }

    /// The promises, read from the log alone: each cleanup at most once, and after those of all its dependents or
    /// after they were let go, unless a forced teardown cut between them.
    fn check_log(&self) -> Result<(), String> {
        for resource in 0..self.naive.resources.len() {
            let ended = matches!(self.naive.resources[resource].state, State::Cleaned | State::Failed);
            let runs = self.positions(Event::Ran(resource)).len();
            same(&format!("runs of the cleanup of r{resource}"), &runs, &usize::from(ended))?;
        }
        for &(dependent, dependency) in &self.edges {
            let ran = self.positions(Event::Ran(dependency));
            let gone =
                [Event::Ran(dependent), Event::LetGo(dependent)].map(|event| self.positions(event)).concat();
            let in_order = gone.iter().min() < ran.first() && !gone.is_empty();
            if !ran.is_empty() && !in_order && !self.cut.contains(&(dependent, dependency)) {
                return Err(format!("r{dependency} was cleaned before r{dependent}, which depends on it"));
            }
        }
        Ok(())
    }
}

/// What a guard or an info shows of a state.
fn visible(state: State) -> Option<ResourceState> {
    match state {
        State::Refused => None,
        State::Live => Some(ResourceState::Live),
        State::Deferred => Some(ResourceState::Deferred),
        State::Cleaned => Some(ResourceState::Cleaned),
        State::Failed => Some(ResourceState::Failed),
        State::Released => Some(ResourceState::Released),
    }
}
