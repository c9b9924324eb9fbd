//! Where a file can be changed so that one branch is as it was, and the others are mutants.

use std::collections::HashMap;
use std::ops::Range;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Block, Expr, Pat, Signature};

use crate::list::UNVIABLE;

/// What stands around a place that cargo-mutants changes.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// An expression, of which the branches are whole.
    Expression(Range<usize>),
    /// The inside of a function's body.
    Body(Range<usize>),
    /// An arm of a `match`: where its pattern ends, and its guard.
    Arm { pattern_end: usize, guard: Option<Range<usize>> },
    /// No branch can stand here, for this reason.
    Nowhere(&'static str),
}

const CONSTANT: &str = "in a constant";

#[derive(Default)]
pub(crate) struct Places {
    /// By genre and by where its first byte is.
    pub(crate) known: HashMap<(&'static str, usize), Place>,
    bodies: Vec<(Range<usize>, Place)>,
    /// Inside of what is computed when compiling.
    constant: usize,
    /// Inside of a `match` that has an arm for whatever no other arm takes.
    others_are_left: bool,
}

impl Places {
    pub(crate) fn of(text: &str) -> Places {
        let file = syn::parse_file(text).expect("what compiles can be parsed");
        let mut places = Places::default();
        places.visit_file(&file);
        places
    }

    /// The body of the function whose statements these are: the innermost that holds them all.
    pub(crate) fn body(&self, statements: Range<usize>) -> Option<Place> {
        let holds = |inside: &Range<usize>| inside.start <= statements.start && statements.end <= inside.end;
        let holding = self.bodies.iter().filter(|(inside, _)| holds(inside));
        holding.min_by_key(|(inside, _)| inside.len()).map(|(_, place)| place.clone())
    }

    fn note(&mut self, genre: &'static str, at: usize, place: Place) {
        let place = if self.constant > 0 { Place::Nowhere(CONSTANT) } else { place };
        self.known.insert((genre, at), place);
    }

    fn within(&mut self, constant: bool, visit: impl FnOnce(&mut Places)) {
        let added = usize::from(constant);
        self.constant += added;
        visit(self);
        self.constant -= added;
    }

    fn function(&mut self, signature: &Signature, block: &Block, visit: impl FnOnce(&mut Places)) {
        let braces = block.span().byte_range();
        self.within(signature.constness.is_some(), |places| {
            let inside = braces.start + 1..braces.end - 1;
            let place = Place::Body(inside.clone());
            let constant = places.constant > 0;
            places.bodies.push((inside, if constant { Place::Nowhere(CONSTANT) } else { place }));
            visit(places);
        });
    }
}

fn range(what: &impl Spanned) -> Range<usize> {
    what.span().byte_range()
}

fn start(span: Span) -> usize {
    span.byte_range().start
}

/// Whether a chain of conditions binds something: what is behind it needs that.
fn binds(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(both) => binds(&both.left) || binds(&both.right),
        _ => false,
    }
}

impl<'a> Visit<'a> for Places {
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.function(&item.sig, &item.block, |places| visit::visit_item_fn(places, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.function(&item.sig, &item.block, |places| visit::visit_impl_item_fn(places, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        let Some(block) = &item.default else { return };
        self.function(&item.sig, block, |places| visit::visit_trait_item_fn(places, item));
    }

    fn visit_expr_binary(&mut self, both: &'a syn::ExprBinary) {
        let chain =
            matches!(both.op, BinOp::And(_) | BinOp::Or(_)) && (binds(&both.left) || binds(&both.right));
        let place =
            if chain { Place::Nowhere("in a chain that binds") } else { Place::Expression(range(both)) };
        self.note("BinaryOperator", start(both.op.span()), place);
        visit::visit_expr_binary(self, both);
    }

    fn visit_expr_unary(&mut self, one: &'a syn::ExprUnary) {
        self.note("UnaryOperator", start(one.op.span()), Place::Expression(range(one)));
        visit::visit_expr_unary(self, one);
    }

    fn visit_expr_struct(&mut self, whole: &'a syn::ExprStruct) {
        for field in &whole.fields {
            self.note("StructField", start(field.span()), Place::Expression(range(whole)));
        }
        visit::visit_expr_struct(self, whole);
    }

    fn visit_expr_match(&mut self, whole: &'a syn::ExprMatch) {
        // cargo-mutants takes `_ if ...` for an arm that all others may be left to.
        let rest = |arm: &syn::Arm| arm.guard.is_none() && matches!(arm.pat, Pat::Wild(_) | Pat::Ident(_));
        let outer = std::mem::replace(&mut self.others_are_left, whole.arms.iter().any(rest));
        visit::visit_expr_match(self, whole);
        self.others_are_left = outer;
    }

    fn visit_arm(&mut self, arm: &'a syn::Arm) {
        let guard = arm.guard.as_ref().map(|(_, guard)| range(guard));
        if let Some((_, guard)) = &arm.guard {
            let place = if binds(guard) {
                Place::Nowhere("in a chain that binds")
            } else {
                Place::Expression(range(guard))
            };
            self.note("MatchArmGuard", start(guard.span()), place);
        }
        let place = match self.others_are_left {
            true => Place::Arm { pattern_end: range(&arm.pat).end, guard },
            false => Place::Nowhere(UNVIABLE),
        };
        self.note("MatchArm", start(arm.span()), place);
        visit::visit_arm(self, arm);
    }

    // A pattern's minus is no operator, and a constant has no branches.
    fn visit_pat(&mut self, _: &'a syn::Pat) {}

    fn visit_type(&mut self, item: &'a syn::Type) {
        self.within(true, |places| visit::visit_type(places, item));
    }

    fn visit_item_const(&mut self, item: &'a syn::ItemConst) {
        self.within(true, |places| visit::visit_item_const(places, item));
    }

    fn visit_impl_item_const(&mut self, item: &'a syn::ImplItemConst) {
        self.within(true, |places| visit::visit_impl_item_const(places, item));
    }

    fn visit_item_static(&mut self, item: &'a syn::ItemStatic) {
        self.within(true, |places| visit::visit_item_static(places, item));
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.within(true, |places| visit::visit_item_enum(places, item));
    }

    fn visit_expr_const(&mut self, item: &'a syn::ExprConst) {
        self.within(true, |places| visit::visit_expr_const(places, item));
    }

    fn visit_expr_repeat(&mut self, item: &'a syn::ExprRepeat) {
        self.visit_expr(&item.expr);
        self.within(true, |places| places.visit_expr(&item.len));
    }
}
