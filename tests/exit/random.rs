//! Random histories that end at a random moment, by a signal, `exit` or a return: whatever was registered is cleaned
//! once, after what needs it.
//!
//! `CASTOFF_EXIT_ROUNDS` is how many (240 unless set), `CASTOFF_EXIT_SEED` the first seed.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use crate::support::{Ended, HUP, How, INT, KINDS, Program, TERM};

const ROUNDS: u64 = 240;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// What a log tells that must not be.
fn judge(log: &[String]) -> Vec<String> {
    let (mut came, mut let_go) = (HashMap::new(), HashSet::new());
    let mut went: HashMap<&str, usize> = HashMap::new();
    let mut wrong = Vec::new();
    for (at, line) in log.iter().enumerate() {
        let mut words = line.get(1..).unwrap_or_default().split(' ');
        let name = words.next().unwrap_or_default();
        match line.as_bytes()[0] {
            b'+' => drop(came.insert(name, words.collect::<Vec<_>>())),
            b'~' => drop(let_go.insert(name)),
            b'-' => wrong.extend(went.insert(name, at).map(|_| format!("{name} was cleaned twice"))),
            _ => {}
        }
    }
    for (name, needs) in &came {
        match went.get(name) {
            None if !let_go.contains(name) => wrong.push(format!("{name} was lost")),
            None => {}
            Some(at) => {
                let early = needs.iter().filter(|other| went.get(*other).is_some_and(|before| before < at));
                wrong.extend(early.map(|other| format!("{other} was cleaned before {name}, which needs it")));
            }
        }
    }
    wrong
}

fn play(seed: u64) -> Ended {
    // Another generator than the victim's, with a lesser die: it only picks.
    let pick = |of: u64, salt: u64| (seed.wrapping_add(salt).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % of;
    let (end, signal) = match pick(5, 1) {
        0 => ("exit", None),
        1 => ("return", None),
        _ => ("signal", Some([INT, TERM, HUP][pick(3, 2) as usize])),
    };
    let program = Program::victim("random", KINDS[pick(2, 4) as usize]);
    let environment = [("CASTOFF_SEED", seed.to_string()), ("CASTOFF_END", end.to_owned())];
    let running = program.with(|it| it.envs(environment)).start();
    match signal {
        None => running.end().ended(How::Code(7)),
        Some(signal) => {
            let moment = Duration::from_micros(pick(25_000, 3));
            running.until_said("ready").after(moment).signal(signal).end().ended(How::Signal(signal))
        }
    }
}

#[test]
fn no_cleanup_is_lost_or_doubled_or_early_whenever_the_end_comes() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
    let first = number("CASTOFF_EXIT_SEED").unwrap_or(now.as_secs() * 1000);
    let rounds = number("CASTOFF_EXIT_ROUNDS").unwrap_or(ROUNDS);
    println!("seeds {first} to {}", first + rounds);
    let mut cleaned = 0;
    for seed in first..first + rounds {
        let ended = play(seed);
        let wrong = judge(&ended.log);
        assert!(
            wrong.is_empty(),
            "seed {seed}: {wrong:#?}\n{:?}\n{}\n{}",
            ended.how,
            ended.err,
            ended.log.join("\n")
        );
        assert_eq!(ended.err, "", "seed {seed}");
        cleaned += ended.log.iter().filter(|line| line.starts_with('-')).count();
    }
    println!("{cleaned} cleanups in {rounds} rounds");
    assert!(cleaned as u64 > rounds, "hardly anything was ever there");
}

#[test]
fn the_judge_sees_what_is_lost_doubled_or_early() {
    let log = |lines: &str| judge(&lines.split(',').map(String::from).collect::<Vec<_>>());
    assert_eq!(log("ready,+1,+2 1,-2,-1,+3,~3"), [""; 0]);
    assert_eq!(log("-1,+1"), [""; 0], "a cleanup may be quicker than what tells of the registration");
    assert_eq!(log("+1"), ["1 was lost"]);
    assert_eq!(log("+1,-1,-1"), ["1 was cleaned twice"]);
    assert_eq!(log("+1,+2 1,-1,-2"), ["1 was cleaned before 2, which needs it"]);
}
