//! Random histories, ended at a random moment: `CASTOFF_SEED` says which.
//!
//! The log of one: `+n needs..` when a resource is there, `-n` when it is cleaned, `~n` before it is let go without.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use castoff::{ExitOptions, ResourceGuard, ResourceManager};

use crate::fleet::{Guard, Kind, global, wait_for_ever};
use crate::log::say;

/// xorshift64*: enough for a die, and the same everywhere.
struct Die(u64);

impl Die {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

pub fn run(case: &str, kind: Kind) -> Option<ExitCode> {
    if case != "random" {
        return None;
    }
    let seed: u64 = std::env::var("CASTOFF_SEED").ok()?.parse().expect("the seed is a number");
    let mut die = Die(seed | 1);
    let service = ResourceManager::new("service");
    let hooked = [global(), &service][die.roll(2) as usize];
    hooked.install_exit_hooks(ExitOptions::default()).expect("the hooks can be installed").forget();
    let threads = 1 + die.roll(3);
    for thread in 0..threads {
        let die = Die(seed.wrapping_mul(31).wrapping_add(thread) | 1);
        let managers = [global().clone(), service.clone()];
        thread::spawn(move || Player { die, managers, thread, next: 0, kept: Vec::new(), kind }.play());
    }
    say("ready");
    match std::env::var("CASTOFF_END").as_deref() {
        Ok("signal") => wait_for_ever(),
        Ok(end) => {
            thread::sleep(Duration::from_micros(die.roll(20_000)));
            match end {
                "exit" => std::process::exit(7),
                _ => Some(ExitCode::from(7)),
            }
        }
        Err(_) => panic!("CASTOFF_END says how it ends"),
    }
}

struct Player {
    die: Die,
    managers: [ResourceManager; 2],
    thread: u64,
    next: u64,
    kept: Vec<(u64, Guard)>,
    /// With `Async` every second cleanup awaits.
    kind: Kind,
}

impl Player {
    fn play(mut self) -> ! {
        loop {
            match self.die.roll(16) {
                0..=7 => {
                    if self.register().is_none() {
                        break;
                    }
                }
                8..=10 => drop(self.any()),
                11 => drop(self.any().map(|(_, guard)| ResourceGuard::close(guard))),
                12 => self.any().into_iter().for_each(|(number, guard)| {
                    say(format!("~{number}"));
                    ResourceGuard::release(guard);
                }),
                13 => std::mem::forget(self.any()),
                14 => drop(self.managers[self.die.roll(2) as usize].cleanup()),
                _ => thread::sleep(Duration::from_micros(self.die.roll(300))),
            }
        }
        wait_for_ever()
    }

    fn any(&mut self) -> Option<(u64, Guard)> {
        let count = self.kept.len() as u64;
        (count > 0).then(|| self.kept.swap_remove(self.die.roll(count.max(1)) as usize))
    }

    /// `None` when the manager is sealed: the end is near.
    fn register(&mut self) -> Option<()> {
        let number = self.thread * 1_000_000 + self.next;
        self.next += 1;
        let slow = self.die.roll(8) == 0;
        let manager = self.managers[self.die.roll(2) as usize].clone();
        let mut registration = manager.resource(format!("resource {number}"));
        let mut needs = String::new();
        for _ in 0..self.die.roll(3).min(self.kept.len() as u64) {
            let (other, guard) = &self.kept[self.die.roll(self.kept.len() as u64) as usize];
            registration = registration.depends_on(guard);
            needs.push_str(&format!(" {other}"));
        }
        let pause = Duration::from_micros(if slow { 500 } else { 0 });
        let guard = if self.kind == Kind::Async && self.die.roll(2) == 0 {
            registration.guard_async(move || async move {
                tokio::time::sleep(pause).await;
                say(format!("-{number}"));
            })
        } else {
            registration.guard(move || {
                thread::sleep(pause);
                say(format!("-{number}"));
            })
        };
        match guard {
            Ok(guard) => {
                say(format!("+{number}{needs}"));
                self.kept.push((number, guard));
                Some(())
            }
            // A dependency that ended meanwhile, or a circle of managers: its cleanup has run.
            Err(castoff::RegisterError::ShutDown { .. }) => None,
            Err(_) => Some(()),
        }
    }
}
