//! What the naive model makes of a call that has been made: it plays back the order in which cleanups ran, and says
//! where that differs from what had to happen. Deferred resources run by themselves as their last dependent goes.

use std::cmp::Reverse;

use super::history::Ending;
use super::naive::{Naive, Plan, State};

impl Naive {
    /// Plays back the cleanups that ran during a call. Those in `must` run in exactly that order. Besides them, each
    /// deferred resource runs whose last dependent goes; of several that are freed by the same departure the most
    /// urgent comes first, then the newest, whatever else runs between them.
    pub(crate) fn follow(&mut self, must: &[usize], ran: &[usize]) -> Result<(), String> {
        let mut due = must.iter();
        let mut freed: Vec<Vec<usize>> = Vec::new();
        self.note_freed(must, &mut freed);
        for &one in ran {
            if must.contains(&one) {
                let next = due.next();
                if next != Some(&one) {
                    return Err(format!("r{one} ran where {next:?} had to; the order had to be {must:?}"));
                }
            } else {
                self.take_freed(one, &mut freed)?;
            }
            self.end(one);
            self.note_freed(must, &mut freed);
        }
        let late: Vec<&usize> = due.chain(freed.iter().flatten()).collect();
        if late.is_empty() { Ok(()) } else { Err(format!("did not run: {late:?}")) }
    }

    /// A cleanup has ended, well or not.
    fn end(&mut self, resource: usize) {
        let resource = &mut self.resources[resource];
        resource.state = match resource.profile.ending {
            Ending::Ends => State::Cleaned,
            Ending::Fails | Ending::Panics => State::Failed,
        };
    }

    /// Deferred resources without dependents: they run now, unless a teardown has them in its order.
    fn orphans(&self) -> Vec<usize> {
        let deferred = |&one: &usize| self.resources[one].state == State::Deferred;
        (0..self.resources.len()).filter(deferred).filter(|&one| self.dependents(one).is_empty()).collect()
    }

    fn note_freed(&self, must: &[usize], freed: &mut Vec<Vec<usize>>) {
        let known = |one: &usize| must.contains(one) || freed.iter().any(|group| group.contains(one));
        let group: Vec<usize> = self.orphans().into_iter().filter(|one| !known(one)).collect();
        freed.push(group);
    }

    fn take_freed(&self, one: usize, freed: &mut [Vec<usize>]) -> Result<(), String> {
        let Some(group) = freed.iter_mut().find(|group| group.contains(&one)) else {
            return Err(format!("r{one} ran, and nothing had asked for it"));
        };
        let rank = |one: &usize| {
            let resource = &self.resources[*one];
            (resource.profile.effective_priority(), Reverse(resource.born))
        };
        let first = group.iter().min_by_key(|one| rank(one)).copied();
        if first != Some(one) {
            return Err(format!("of the deferred {group:?}, free at once, r{one} ran first"));
        }
        group.retain(|&other| other != one);
        Ok(())
    }

    /// Whether the documented semantics say nothing about what would come of a teardown. Both cases need a deferred
    /// resource that is freed by the teardown without being cleaned by it: it was not selected but stands before
    /// something that is; or it was selected and then skipped, because an error stopped the teardown.
    pub(crate) fn is_undecided(&self, plan: &Plan, force: bool) -> bool {
        let mut after = self.clone();
        plan.order.iter().for_each(|&one| after.end(one));
        loop {
            let orphans = after.orphans();
            if orphans.iter().any(|one| plan.selected.contains(one)) {
                return true;
            }
            let before_selected =
                |one: &usize| after.resources[*one].needs.iter().any(|on| plan.selected.contains(on));
            if !force && orphans.iter().any(before_selected) {
                return true;
            }
            if orphans.is_empty() {
                return false;
            }
            orphans.into_iter().for_each(|one| after.end(one));
        }
    }
}
