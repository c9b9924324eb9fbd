//! A plan as a diagram, for Graphviz and for Mermaid: the same walk over the managers and their steps, in two
//! notations.

use std::collections::HashMap;

use crate::id::Label;
use crate::report::text;
use crate::teardown::plan::{PlannedStep, TeardownPlan, urgency};

/// How a language writes what a diagram is made of. Numbers begin at 1, as in the plan's list.
struct Notation {
    /// A manager's frame: its number and its label.
    open: fn(usize, &str) -> String,
    close: &'static str,
    /// A step: its number and its label.
    step: fn(usize, &str) -> String,
    arrow: fn(usize, usize) -> String,
    escape: fn(&str) -> String,
    line_break: &'static str,
}

const DOT: Notation = Notation {
    open: |number, label| format!("subgraph cluster_{number} {{\nlabel=\"{label}\";"),
    close: "}",
    step: |number, label| format!("s{number} [label=\"{label}\"];"),
    arrow: |dependent, dependency| format!("s{dependent} -> s{dependency};"),
    escape: escape_dot,
    line_break: "\\n",
};

const MERMAID: Notation = Notation {
    open: |number, label| format!("subgraph m{number}[\"{label}\"]"),
    close: "end",
    step: |number, label| format!("s{number}[\"{label}\"]"),
    arrow: |dependent, dependency| format!("s{dependent} --> s{dependency}"),
    escape: escape_mermaid,
    line_break: "<br/>",
};

pub(super) fn dot(plan: &TeardownPlan) -> String {
    let title = DOT.text(&format!("teardown plan of `{}`", plan.manager));
    format!("digraph teardown {{\n    label=\"{title}\";\n    node [shape=box];\n{}}}\n", DOT.body(plan))
}

pub(super) fn mermaid(plan: &TeardownPlan) -> String {
    format!("flowchart TD\n{}", MERMAID.body(plan))
}

impl Notation {
    fn body(&self, plan: &TeardownPlan) -> String {
        let mut out = String::new();
        self.group(&plan.steps, &groups(&plan.steps), 0, 1, &mut out);
        for (at, step) in plan.steps.iter().enumerate() {
            for needed in &step.needs {
                line(&mut out, 1, &(self.arrow)(at + 1, needed + 1));
            }
        }
        out
    }

    fn group(&self, steps: &[PlannedStep], groups: &[Group<'_>], at: usize, depth: usize, out: &mut String) {
        for step in &groups[at].steps {
            let PlannedStep { label, category, .. } = &steps[*step];
            let (label, category) = (self.text(label), self.text(&category.to_string()));
            let (number, urgency) = (step + 1, urgency(&steps[*step]));
            let text = format!("{label}{}step {number}, {category}, {urgency}", self.line_break);
            line(out, depth, &(self.step)(number, &text));
        }
        for inner in &groups[at].groups {
            // Number 0 is the root, which has no frame.
            let opening = (self.open)(*inner, &self.text(groups[*inner].label));
            for (number, part) in opening.lines().enumerate() {
                line(out, depth + number, part);
            }
            self.group(steps, groups, *inner, depth + 1, out);
            line(out, depth, self.close);
        }
    }

    fn text(&self, text: &str) -> String {
        let lines: Vec<String> = text.lines().map(|line| (self.escape)(&text::plain(line))).collect();
        // Mermaid takes no empty label.
        if lines.is_empty() { (self.escape)("unnamed") } else { lines.join(self.line_break) }
    }
}

fn line(out: &mut String, depth: usize, text: &str) {
    out.extend(std::iter::repeat_n("    ", depth));
    out.push_str(text);
    out.push('\n');
}

/// A manager of the plan: what is its own, and the managers in it.
#[derive(Default)]
struct Group<'plan> {
    label: &'plan str,
    steps: Vec<usize>,
    groups: Vec<usize>,
}

/// The tree of managers, the root first. Managers with the same path of labels share a frame: their labels
/// are all that a plan knows of them.
fn groups(steps: &[PlannedStep]) -> Vec<Group<'_>> {
    let mut groups = vec![Group::default()];
    let mut known: HashMap<&[Label], usize> = HashMap::new();
    for (at, step) in steps.iter().enumerate() {
        let mut inner = 0;
        for (depth, label) in step.managers.iter().enumerate() {
            let outer = inner;
            inner = *known.entry(&step.managers[..=depth]).or_insert(groups.len());
            if inner == groups.len() {
                groups.push(Group { label, ..Group::default() });
                groups[outer].groups.push(inner);
            }
        }
        groups[inner].steps.push(at);
    }
    groups
}

/// For a double-quoted string that Graphviz takes as a label: there a backslash starts an escape, and an
/// ampersand an entity as in HTML.
fn escape_dot(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
}

/// For a quoted label of Mermaid. That language has entities instead of escapes; it reads comments,
/// directives and Markdown inside quotes too. Everything is an entity, therefore, that is neither a letter
/// nor a digit and could mean something where it stands.
fn escape_mermaid(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let harmless = |at: usize| characters.get(at).is_some_and(|character| character.is_alphanumeric());
    let mut out = String::with_capacity(text.len());
    for (at, character) in characters.iter().enumerate() {
        match character {
            '"' => out.push_str("#quot;"),
            ' ' if at > 0 && characters[at - 1] != ' ' => out.push(' '),
            '-' | '_' | '/' if at > 0 && harmless(at - 1) && harmless(at + 1) => out.push(*character),
            _ if character.is_alphanumeric() || !character.is_ascii() => out.push(*character),
            _ => out.push_str(&format!("#{};", u32::from(*character))),
        }
    }
    out
}
