//! How programs end that guard a hundred files by what there is today, castoff among it.
//!
//! `castoff-deaths` alone tries every way to end on every one of them, as real processes, and prints the table of
//! docs/reliability.md; REPS says how often each. `castoff-deaths PEER DEATH FOLDER` is one of these processes. It makes
//! the files of the folder its own, says `ready`, and comes to its end: what it has cleaned is what is not in the folder
//! any more. `castoff-deaths matrix` tries more of them on castoff alone, with cleanups of every kind.

mod death;
mod driver;
mod matrix;
mod peer;
mod process;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::death::Death;
use crate::peer::PEERS;
use crate::work::Work;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, death, folder) = match arguments[..] {
        ["matrix"] => return matrix::main(),
        ["matrix", way, kind, folder] => return matrix::victim(way, kind, folder),
        [name, death, folder] => (name, death, folder),
        _ => return driver::main(),
    };
    let peer = PEERS.iter().find(|peer| peer.name == name).expect("a peer of the table");
    let death = Death::named(death).expect("a death of the table");
    (peer.run)(Work { folder: PathBuf::from(folder), death })
}
