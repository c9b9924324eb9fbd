//! Teardowns, child managers and scopes of a history.

use castoff::{ResourceId, ResourceManager, Teardown, TeardownReport};

use super::calls::pick;
use super::history::{Filter, Op};
use super::naive::{Plan, State};
use super::outcome::{Comparison, same};
use super::replay::Replay;

impl Replay {
    pub(super) fn tear_down(&mut self, manager: usize, filter: &Filter) -> Result<(), String> {
        let manager = pick(&self.open_managers(), manager).expect("the root's handle stays");
        let mut filter = self.concrete(filter);
        let mut plan = self.naive.plan(manager, &filter);
        if self.naive.is_undecided(&plan, filter.force) {
            filter.stop_on_error = false;
            plan = self.naive.plan(manager, &filter);
        }
        if self.naive.is_undecided(&plan, filter.force) {
            return Ok(());
        }
        self.trace.push(format!("tear down m{manager}, {filter:?}; as planned: {plan:?}"));
        self.look()?;
        self.check_dry_plan(manager, &filter)?;
        let report = self.really_tear_down(manager, &filter);
        if filter.force {
            self.note_cut(&plan);
        }
        self.compare(&report, &plan)?;
        self.settle(&plan.order)
    }

    /// The filter with resources that exist in place of numbers: live ones, and for the highest numbers any.
    fn concrete(&self, filter: &Filter) -> Filter {
        let (alive, registered) = (self.naive.alive_in(0), self.registered());
        let one = |&number: &usize| pick(if number < 28 { &alive } else { &registered }, number);
        let chosen = |numbers: &[usize]| numbers.iter().filter_map(one).collect::<Vec<usize>>();
        let mut exclude = chosen(&filter.exclude);
        if filter.spare_deferred {
            exclude.extend(alive.iter().filter(|&&one| self.naive.resources[one].state == State::Deferred));
        }
        Filter { ids: chosen(&filter.ids), exclude, spare_deferred: false, ..filter.clone() }
    }

    /// `plan()` tells the order beforehand, whether or not an error is going to stop it.
    fn check_dry_plan(&self, manager: usize, filter: &Filter) -> Result<(), String> {
        let full = self.naive.plan(manager, &Filter { stop_on_error: false, ..filter.clone() });
        let wanted: Vec<ResourceId> = full.order.iter().map(|&one| self.id(one)).collect();
        let dry = self.teardown(manager, filter).plan();
        let mut order = dry.order();
        same("the plan's len()", &dry.len(), &order.len())?;
        // A plan may or may not list what it skips.
        order.retain(|id| full.skipped.iter().all(|skip| self.id(skip.resource) != *id));
        same("plan().order()", &order, &wanted)
    }

    fn teardown(&self, manager: usize, filter: &Filter) -> Teardown<'_> {
        let mut teardown = self.handle(manager).teardown();
        for &category in &filter.categories {
            teardown = teardown.category(category);
        }
        for &tag in &filter.tags {
            teardown = teardown.tag(tag);
        }
        for &priority in &filter.priorities {
            teardown = teardown.priority(priority);
        }
        if !filter.ids.is_empty() {
            teardown = teardown.ids(&self.ids_of(&filter.ids));
        }
        if !filter.exclude.is_empty() {
            teardown = teardown.exclude(&self.ids_of(&filter.exclude));
        }
        for &category in &filter.exclude_categories {
            teardown = teardown.exclude_category(category);
        }
        if filter.force {
            teardown = teardown.force();
        }
        if filter.stop_on_error {
            teardown = teardown.stop_on_error();
        }
        teardown
    }

    fn ids_of(&self, resources: &[usize]) -> Vec<ResourceId> {
        resources.iter().map(|&one| self.id(one)).collect()
    }

    /// By the short forms where they can say it.
    fn really_tear_down(&self, manager: usize, filter: &Filter) -> TeardownReport {
        let handle = self.handle(manager);
        let plain = Filter::default();
        if *filter == plain {
            return handle.cleanup();
        }
        if let [category] = filter.categories[..]
            && *filter == (Filter { categories: vec![category], ..plain.clone() })
        {
            return handle.cleanup_by_category(category);
        }
        if *filter == (Filter { ids: filter.ids.clone(), ..plain }) {
            return handle.cleanup_batch(&self.ids_of(&filter.ids));
        }
        self.teardown(manager, filter).run()
    }

    fn note_cut(&mut self, plan: &Plan) {
        for &dependency in &plan.order {
            let outside =
                self.naive.dependents(dependency).into_iter().filter(|one| !plan.selected.contains(one));
            self.cut.extend(outside.map(|dependent| (dependent, dependency)));
        }
    }

    fn compare(&self, report: &TeardownReport, plan: &Plan) -> Result<(), String> {
        let comparison = Comparison { report, plan, naive: &self.naive, ids: &self.ids };
        comparison.check().map_err(|difference| format!("{difference}\nin {report:#?}"))
    }

    pub(super) fn child(&mut self, of: usize) -> Result<(), String> {
        let of = pick(&self.open_managers(), of).expect("the root's handle stays");
        let manager = self.naive.child(of);
        self.trace.push(format!("m{manager} is made, a child of m{of}"));
        let handle = self.handle(of).child(format!("m{manager}"));
        self.managers.push(Some(handle));
        self.settle(&[])
    }

    /// Dropping a handle cleans nothing, and what is in the manager stays in its place.
    pub(super) fn drop_handle(&mut self, manager: usize) -> Result<(), String> {
        let dispensable = |&one: &usize| one != 0 && Some(one) != self.scope;
        let managers: Vec<usize> = self.open_managers().into_iter().filter(dispensable).collect();
        let Some(manager) = pick(&managers, manager) else { return Ok(()) };
        self.trace.push(format!("the handle of m{manager} is dropped"));
        drop(self.managers[manager].take());
        self.settle(&[])
    }

    pub(super) fn scope(&mut self, of: usize, body: &[Op]) -> Result<(), String> {
        let of = pick(&self.open_managers(), of).expect("the root's handle stays");
        let parent = self.handle(of).clone();
        let scope = self.naive.child(of);
        self.trace.push(format!("m{scope} is made, a scope in m{of}"));
        let (played, report) = parent.scope(format!("m{scope}"), |manager| self.body(scope, manager, body));
        self.trace.push(format!("the scope m{scope} has ended"));
        let plan = played?;
        self.compare(&report, &plan)?;
        self.close_below(scope);
        self.settle(&plan.order)
    }

    /// Plays the scope's body. What its end has to clean is known when the body is over.
    fn body(&mut self, scope: usize, manager: &ResourceManager, body: &[Op]) -> Result<Plan, String> {
        self.managers.push(Some(manager.clone()));
        self.scope = Some(scope);
        let played = body.iter().try_for_each(|op| self.step(op));
        self.scope = None;
        played.map(|()| self.naive.plan(scope, &Filter::default()))
    }

    /// An ended scope and the managers in it take no more calls.
    fn close_below(&mut self, scope: usize) {
        for manager in self.open_managers() {
            if self.naive.is_inside(manager, scope) {
                self.managers[manager] = None;
            }
        }
    }
}
