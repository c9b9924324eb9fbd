//! What has to be true: each finding is a line for a person, and one that is wrong makes the exit code 1.

use std::process::ExitCode;

/// What was looked at and found right, or what is wrong with it.
pub(crate) type Finding = Result<String, String>;

#[derive(Default)]
pub(crate) struct Checklist {
    wrong: usize,
}

impl Checklist {
    pub(crate) fn check(&mut self, what: &str, finding: Finding) {
        match finding {
            Ok(detail) if detail.is_empty() => println!("{what} ... ok"),
            Ok(detail) => println!("{what} ... ok ({detail})"),
            Err(problem) => {
                self.wrong += 1;
                println!("{what} ... WRONG: {problem}");
            }
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
