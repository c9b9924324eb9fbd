//! Writes mutants into a copy of the source as branches, and takes those out that do not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::compile::{self, Checked};
use crate::list::{self, LeftOut, Mutant};
use crate::places::{Place, Places};

/// A file as it was, and where branches can be.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    text: String,
    lines: Vec<usize>,
    places: Places,
    mutants: Vec<Mutant>,
}

/// A file as it was written: which mutant's own text is where, and around what it was put.
#[derive(Default)]
pub(crate) struct Written {
    text: String,
    pub(crate) own: Vec<(Range<usize>, usize)>,
    pub(crate) around: Vec<(Range<usize>, usize)>,
}

/// Text to be put in, and the mutant whose own it is.
type Piece = (String, Option<usize>);

/// What is put before and behind a part of the file.
struct Branches {
    around: Range<usize>,
    before: Vec<Piece>,
    behind: String,
    numbers: Vec<usize>,
}

pub(crate) fn plant(tree: &Path, list: &Path) {
    let mutants = list::read(list);
    let count = mutants.len();
    let mut left_out = LeftOut::new();
    let mut by_file: BTreeMap<String, Vec<Mutant>> = BTreeMap::new();
    for mutant in mutants {
        by_file.entry(mutant.file.clone()).or_default().push(mutant);
    }
    let sources: Vec<Source> =
        by_file.into_iter().map(|(file, mutants)| Source::read(tree, &file, mutants)).collect();
    add_chosen(tree);
    for round in 1.. {
        let written: Vec<Written> = sources.iter().map(|source| source.write(&mut left_out)).collect();
        let Checked { wrong, compiled } = compile::check(tree, &sources, &written);
        println!(
            "round {round}: {count} mutants, {} left out, {} of the others do not compile",
            left_out.len(),
            wrong.len()
        );
        if wrong.is_empty() {
            for number in (1..=count).filter(|number| !compiled.contains(number)) {
                left_out.entry(number).or_insert_with(|| list::NOT_COMPILED.to_owned());
            }
            // Tests inside of the source are compiled with it later, and what nobody has compiled yet may be wrong.
            for source in &sources {
                source.write(&mut left_out);
            }
            break;
        }
        left_out.extend(wrong);
    }
    list::write_left_out(tree, &left_out);
}

/// The question, and where every branch finds it.
fn add_chosen(tree: &Path) {
    let root = tree.join("src/lib.rs");
    let mut text = fs::read_to_string(&root).expect("the copy has a root");
    text.push_str("\nmod chosen;\npub(crate) use chosen::mutant;\n");
    fs::write(&root, text).expect("the copy can be written");
    fs::write(tree.join("src/chosen.rs"), include_str!("../chosen.rs")).expect("the copy can be written");
}

impl Source {
    fn read(tree: &Path, file: &str, mutants: Vec<Mutant>) -> Source {
        let path = tree.join(file).canonicalize().expect("cargo-mutants names files");
        let text = fs::read_to_string(&path).expect("source is text");
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let places = Places::of(&text);
        Source { path, text, lines, places, mutants }
    }

    /// The byte at this line and column, which are counted in characters and from 1.
    fn byte(&self, (line, column): (usize, usize)) -> usize {
        let start = self.lines[line - 1];
        let rest = self.text[start..].char_indices().nth(column - 1);
        rest.map_or(self.text.len(), |(at, _)| start + at)
    }

    fn place(&self, mutant: &Mutant) -> Place {
        let (from, to) = (self.byte(mutant.from), self.byte(mutant.to));
        let known = if mutant.genre == "FnValue" {
            self.places.body(from..to)
        } else {
            self.places.known.get(&(mutant.genre.as_str(), from)).cloned()
        };
        known.unwrap_or(Place::Nowhere("at a place of an unknown kind"))
    }

    fn branches(&self, left_out: &mut LeftOut) -> Vec<Branches> {
        let mut all: BTreeMap<(usize, usize, bool), Branches> = BTreeMap::new();
        for mutant in &self.mutants {
            if left_out.contains_key(&mutant.number) {
                continue;
            }
            let place = match self.place(mutant) {
                Place::Nowhere(why) => {
                    left_out.insert(mutant.number, why.to_owned());
                    continue;
                }
                place => place,
            };
            let one = self.branch(mutant, &place);
            let key = (one.around.start, one.around.end, matches!(place, Place::Expression(_)));
            match all.get_mut(&key) {
                None => drop(all.insert(key, one)),
                Some(several) => {
                    several.before.extend(one.before);
                    several.numbers.push(mutant.number);
                }
            }
        }
        for branches in all.values_mut().filter(|branches| branches.behind == " })") {
            branches.before.insert(0, ("(".to_owned(), None));
            branches.before.push(("{ ".to_owned(), None));
        }
        all.into_values().collect()
    }

    fn branch(&self, mutant: &Mutant, place: &Place) -> Branches {
        let asked = format!("crate::mutant({})", mutant.number);
        let own = Some(mutant.number);
        let (around, before, behind) = match place {
            Place::Expression(whole) => {
                let (from, to) = (self.byte(mutant.from), self.byte(mutant.to));
                let text = format!(
                    "{}{}{}",
                    &self.text[whole.start..from],
                    mutant.replacement,
                    &self.text[to..whole.end]
                );
                let before =
                    vec![(format!("if {asked} {{ "), None), (text, own), (" } else ".to_owned(), None)];
                (whole.clone(), before, " })")
            }
            Place::Body(inside) => {
                let returned = format!("return {};", mutant.replacement);
                let before =
                    vec![(format!(" if {asked} {{ "), None), (returned, own), (" } ".to_owned(), None)];
                (inside.clone(), before, "")
            }
            Place::Arm { guard: Some(guard), .. } => {
                (guard.clone(), vec![(format!("!{asked} && ("), None)], ")")
            }
            Place::Arm { pattern_end, guard: None } => {
                (*pattern_end..*pattern_end, vec![(format!(" if !{asked}"), None)], "")
            }
            Place::Nowhere(_) => unreachable!("it was left out"),
        };
        Branches { around, before, behind: behind.to_owned(), numbers: vec![mutant.number] }
    }

    /// Writes the file with whatever is not left out.
    fn write(&self, left_out: &mut LeftOut) -> Written {
        let branches = self.branches(left_out);
        let ends: BTreeSet<usize> = branches.iter().flat_map(|b| [b.around.start, b.around.end]).collect();
        let mut written = Written::default();
        let mut open = Vec::new();
        let mut copied = 0;
        for at in ends {
            written.text.push_str(&self.text[copied..at]);
            copied = at;
            written.close(&mut open, at);
            let mut starting: Vec<&Branches> = branches.iter().filter(|b| b.around.start == at).collect();
            starting.sort_by_key(|branches| std::cmp::Reverse(branches.around.end));
            open.extend(starting.into_iter().map(|branches| (branches, written.begin(branches))));
            // What is around nothing.
            written.close(&mut open, at);
        }
        written.text.push_str(&self.text[copied..]);
        fs::write(&self.path, &written.text).expect("the copy can be written");
        written
    }
}

impl Written {
    /// Where it begins in what is written.
    fn begin(&mut self, branches: &Branches) -> usize {
        let start = self.text.len();
        for (text, own) in &branches.before {
            let from = self.text.len();
            self.text.push_str(text);
            self.own.extend(own.map(|number| (from..self.text.len(), number)));
        }
        start
    }

    /// Ends those that end here, the innermost first.
    fn close(&mut self, open: &mut Vec<(&Branches, usize)>, at: usize) {
        while let Some((branches, start)) = open.pop_if(|(branches, _)| branches.around.end == at) {
            self.text.push_str(&branches.behind);
            let whole = start..self.text.len();
            self.around.extend(branches.numbers.iter().map(|number| (whole.clone(), *number)));
        }
    }
}
