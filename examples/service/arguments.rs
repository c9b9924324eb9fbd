//! The command line: which job this process has, and how the service is to end.

use crate::checksums::Manners;

pub(crate) const HELP: &str = "\
A service of real parts, put under real traffic and torn down in order by castoff.

Usage: cargo run --example service [--features full] [-- FLAG]

With the feature `full` the service has an asynchronous half and an office, too.

  (no flag)      tear everything down in one batch
  --wrong-order  drop the guards in the worst order, dependencies first
  --faulty       tear down while one cleanup fails, one panics and one hangs
  --help         print this and end

The exit code is 0 if everything was cleaned in order and nothing is left, 1 if not,
2 if the command line was not understood.
";

/// What this process is for.
#[derive(Debug)]
pub(crate) enum Job {
    Help,
    Serve(Ending),
    /// The child process, with a hidden flag of its own.
    Checksums(Manners),
}

/// How the service ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Batch,
    WrongOrder,
    Faulty,
}

impl Job {
    pub(crate) fn from_arguments(arguments: impl Iterator<Item = String>) -> Result<Job, String> {
        let arguments: Vec<String> = arguments.collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments[..] {
            [] => Ok(Job::Serve(Ending::Batch)),
            ["--wrong-order"] => Ok(Job::Serve(Ending::WrongOrder)),
            ["--faulty"] => Ok(Job::Serve(Ending::Faulty)),
            ["--help" | "-h"] => Ok(Job::Help),
            [flag] => match Manners::from_flag(flag) {
                Some(manners) => Ok(Job::Checksums(manners)),
                None => Err(format!("unknown argument `{flag}`")),
            },
            [..] => Err(format!("one flag at a time, not `{}`", arguments.join(" "))),
        }
    }
}
