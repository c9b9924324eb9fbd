//! What the arguments mean, and whether the function is a test: every refusal names what to do.

use proc_macro2::{Ident, Span};
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, ItemFn, LitStr, Path, Result, ReturnType, Type, parse_quote};

use crate::parse::Setting;

const KNOWN: &str = "`leaks`, `keep_on_failure`, `deadline`, `exit_hooks`, `footprint`, `flavor`, `worker_threads` and `crate`";

/// What to expand.
pub(crate) struct Plan {
    pub(crate) krate: Path,
    /// The name of a `LeakSeverity`.
    pub(crate) leaks: Option<Ident>,
    pub(crate) keep_on_failure: bool,
    pub(crate) should_panic: bool,
    pub(crate) exit_hooks: bool,
    pub(crate) footprint: bool,
    /// Milliseconds.
    pub(crate) deadline: Option<u64>,
    /// Zero for as many as there are processors; none for one thread.
    pub(crate) workers: Option<usize>,
    /// Another attribute makes it a test already, and a runtime for it where it is asynchronous.
    pub(crate) is_test: bool,
    /// Whether the one argument, if there is one, is a reference.
    pub(crate) argument: Option<bool>,
}

/// The arguments, each at most once.
#[derive(Default)]
struct Written {
    krate: Option<Path>,
    leaks: Option<Ident>,
    keep_on_failure: Option<Span>,
    exit_hooks: bool,
    footprint: Option<Span>,
    deadline: Option<(u64, Span)>,
    flavor: Option<(bool, Span)>,
    workers: Option<(usize, Span)>,
}

pub(crate) fn check(settings: Vec<Setting>, function: &ItemFn) -> Result<Plan> {
    let written = read(&settings)?;
    signature(function)?;
    let should_panic = function.attrs.iter().any(|it| it.path().is_ident("should_panic"));
    let is_test = function.attrs.iter().any(is_test_attribute);
    asynchronous(&written, function, is_test)?;
    if let (true, Some(span)) = (should_panic, written.keep_on_failure) {
        let message = "a test that should panic fails by returning, and then nothing is held that could be kept: \
                       remove `keep_on_failure`";
        return Err(Error::new(span, message));
    }
    if let (true, Some(span)) = (should_panic, written.footprint) {
        let message = "a test whose footprint is looked at may run in a process of its own, and then it does not panic \
                       here: remove `footprint`, or catch the panic in the test";
        return Err(Error::new(span, message));
    }
    if let (true, ReturnType::Type(_, ty)) = (should_panic, &function.sig.output)
        && !matches!(&**ty, Type::Tuple(unit) if unit.elems.is_empty())
    {
        return Err(Error::new_spanned(
            ty,
            "a test that should panic returns nothing: remove the return type",
        ));
    }
    Ok(Plan {
        krate: written.krate.unwrap_or_else(|| parse_quote!(::castoff)),
        leaks: written.leaks,
        keep_on_failure: written.keep_on_failure.is_some(),
        should_panic,
        exit_hooks: written.exit_hooks,
        footprint: written.footprint.is_some(),
        deadline: written.deadline.map(|(deadline, _)| deadline),
        workers: match (written.flavor, written.workers) {
            (_, Some((count, _))) => Some(count),
            (Some((true, _)), None) => Some(0),
            _ => None,
        },
        is_test,
        argument: argument(function)?,
    })
}

fn read(settings: &[Setting]) -> Result<Written> {
    let mut written = Written::default();
    let mut seen: Vec<String> = Vec::new();
    for setting in settings {
        let name = setting.name.to_string();
        if seen.contains(&name) {
            return Err(Error::new(setting.span(), format!("`{name}` stands here twice: remove one")));
        }
        match name.as_str() {
            "crate" => written.krate = Some(setting.text("renamed")?.parse()?),
            "leaks" => written.leaks = Some(severity(setting.text("warn")?)?),
            "keep_on_failure" => {
                setting.flag()?;
                written.keep_on_failure = Some(setting.span());
            }
            "exit_hooks" => {
                setting.flag()?;
                written.exit_hooks = true;
            }
            "deadline" => {
                let text = setting.text("5s")?;
                written.deadline = Some((milliseconds(text)?, setting.span()));
            }
            "flavor" => {
                written.flavor = Some((is_multi_thread(setting.text("multi_thread")?)?, setting.span()))
            }
            "worker_threads" => written.workers = Some((workers(setting)?, setting.span())),
            "footprint" => {
                setting.flag()?;
                written.footprint = Some(setting.span());
            }
            "start_paused" => {
                let message = "`start_paused` is not built: call `tokio::time::pause()` first thing in the body, or \
                               put `#[tokio::test(start_paused = true)]` below this attribute";
                return Err(Error::new(setting.span(), message));
            }
            _ => {
                return Err(Error::new(setting.span(), format!("there is no `{name}`: there are {KNOWN}")));
            }
        }
        seen.push(name);
    }
    Ok(written)
}

fn severity(text: &LitStr) -> Result<Ident> {
    let variant = match text.value().as_str() {
        "off" => "Off",
        "count" => "Count",
        "warn" => "Warn",
        "fail" => "Fail",
        _ => return Err(Error::new_spanned(text, "`leaks` is \"off\", \"count\", \"warn\" or \"fail\"")),
    };
    Ok(Ident::new(variant, text.span()))
}

fn milliseconds(text: &LitStr) -> Result<u64> {
    let wrong = || {
        let message = "a deadline is a whole number and `ms`, `s` or `min`, as in \"5s\", and not zero";
        Error::new_spanned(text, message)
    };
    let value = text.value();
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match value[digits.len()..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|product| *product > 0).ok_or_else(wrong)
}

fn is_multi_thread(text: &LitStr) -> Result<bool> {
    match text.value().as_str() {
        "current_thread" => Ok(false),
        "multi_thread" => Ok(true),
        _ => Err(Error::new_spanned(text, "`flavor` is \"current_thread\" or \"multi_thread\"")),
    }
}

fn workers(setting: &Setting) -> Result<usize> {
    let number = setting.number()?;
    match number.base10_parse()? {
        0 => Err(Error::new_spanned(number, "a runtime has at least one worker thread")),
        count => Ok(count),
    }
}

/// What only an asynchronous test can have, and what needs a runtime of ours.
fn asynchronous(written: &Written, function: &ItemFn, is_test: bool) -> Result<()> {
    let of_runtime = written.flavor.map(|(_, span)| span).or(written.workers.map(|(_, span)| span));
    let Some(token) = function.sig.asyncness else {
        let message = "only an async test has a runtime: make the function `async`, or remove this";
        return of_runtime.map_or(Ok(()), |span| Err(Error::new(span, message)));
    };
    if !cfg!(feature = "tokio") {
        let message =
            "an async test needs castoff's feature `tokio`: `castoff = { .., features = [\"tokio\"] }`";
        return Err(Error::new(token.span(), message));
    }
    if is_test && let Some(span) = written.footprint {
        let message = "another attribute makes this test's runtime, which would be part of what is looked at: remove \
                       that one, and say its arguments here";
        return Err(Error::new(span, message));
    }
    if is_test && let Some(span) = of_runtime.or(written.deadline.map(|(_, span)| span)) {
        let message =
            "another attribute makes this a test, and its runtime: say it there, or remove that one";
        return Err(Error::new(span, message));
    }
    match (written.flavor, written.workers) {
        (None | Some((false, _)), Some((_, span))) => {
            Err(Error::new(span, "worker threads need `flavor = \"multi_thread\"`"))
        }
        _ => Ok(()),
    }
}

fn signature(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let generics = &signature.generics;
    if !generics.params.is_empty() {
        return Err(Error::new_spanned(generics, "a test is called with nothing: it can't be generic"));
    }
    if let Some(clause) = &generics.where_clause {
        return Err(Error::new_spanned(clause, "a test is called with nothing: it can't be generic"));
    }
    let message = "a test is a plain function: remove this";
    if let Some(token) = &signature.constness {
        return Err(Error::new_spanned(token, message));
    }
    if let Some(token) = &signature.unsafety {
        return Err(Error::new_spanned(token, message));
    }
    signature.abi.as_ref().map_or(Ok(()), |abi| Err(Error::new_spanned(abi, message)))
}

fn argument(function: &ItemFn) -> Result<Option<bool>> {
    let mut inputs = function.sig.inputs.iter();
    let first = match inputs.next() {
        None => return Ok(None),
        Some(FnArg::Typed(first)) => first,
        Some(FnArg::Receiver(receiver)) => {
            return Err(Error::new_spanned(receiver, "a test is no method: it can't take `self`"));
        }
    };
    if let Some(second) = inputs.next() {
        let message = "a test takes one argument at most, `manager: &ResourceManager`; for cases and fixtures put \
                       `#[rstest]` above this attribute, and ask `ResourceManager::current()` for the manager";
        return Err(Error::new_spanned(second, message));
    }
    Ok(Some(matches!(&*first.ty, Type::Reference(_))))
}

/// `#[test]`, `#[tokio::test]` and their like.
fn is_test_attribute(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident == "test")
}
