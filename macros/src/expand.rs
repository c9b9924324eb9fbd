//! The test as libtest sees it: the body as a function of its own, called by castoff.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemFn, ReturnType};

use crate::check::Plan;

pub(crate) fn expand(plan: &Plan, mut body: ItemFn) -> TokenStream {
    let attributes = std::mem::take(&mut body.attrs);
    let visibility = std::mem::replace(&mut body.vis, syn::Visibility::Inherited);
    let name = body.sig.ident.clone();
    let test = (!plan.is_test).then(|| quote!(#[::core::prelude::v1::test]));
    let call = call(plan, &body);
    let is_async = body.sig.asyncness.is_some();
    // A runtime of another attribute's wants the function as it was.
    let asyncness = (is_async && plan.is_test).then(|| quote!(async));
    let (output, end) = match &body.sig.output {
        ReturnType::Default => (None, Some(quote!(;))),
        ReturnType::Type(..) if plan.should_panic => (None, Some(quote!(;))),
        ReturnType::Type(..) => (Some(quote!(-> ::std::process::ExitCode)), None),
    };
    quote! {
        #(#attributes)*
        #test
        #visibility #asyncness fn #name() #output {
            #body
            #call #end
        }
    }
}

fn call(plan: &Plan, body: &ItemFn) -> TokenStream {
    let (krate, name) = (&plan.krate, &body.sig.ident);
    let is_async = body.sig.asyncness.is_some();
    let leaks = plan.leaks.as_ref().map(|severity| quote!(.leaks(#krate::LeakSeverity::#severity)));
    let keep = plan.keep_on_failure.then(|| quote!(.keep_on_failure()));
    let hooks = plan.exit_hooks.then(|| quote!(.exit_hooks()));
    let footprint = plan.footprint.then(|| quote!(.footprint()));
    let panics = plan.should_panic.then(|| quote!(.should_panic()));
    let deadline = plan.deadline.map(|milliseconds| quote!(.deadline(#milliseconds)));
    let workers = plan.workers.map(|workers| quote!(.multi_thread(#workers)));
    // A type that can't be returned is an error at the type.
    let returned = match &body.sig.output {
        ReturnType::Default => name.span(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    let (taken, given) = handed(plan, body);
    let run = match (is_async, plan.is_test) {
        // No closure that does nothing but call: clippy would say so to the user.
        (false, _) if plan.argument == Some(true) => {
            let mut body = name.clone();
            body.set_span(name.span().located_at(given.span()));
            quote_spanned!(returned=> .run(#body))
        }
        (false, _) => quote_spanned!(returned=> .run(|#taken| #name(#given))),
        (true, false) => quote_spanned!(returned=> .run_async(|#taken| async move { #name(#given).await })),
        (true, true) => {
            quote_spanned!(returned=> .run_here(|#taken| async move { #name(#given).await }).await)
        }
    };
    quote_spanned! {name.span()=>
        #krate::testing::Attribute::new(::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)))
            #leaks #keep #hooks #footprint #panics #deadline #workers
            #run
    }
}

/// The argument that castoff hands over (a reference where the body blocks, a handle where it awaits), and what the
/// body is called with.
fn handed(plan: &Plan, body: &ItemFn) -> (TokenStream, TokenStream) {
    let Some(argument) = body.sig.inputs.first() else { return (quote!(_), TokenStream::new()) };
    // A type that is no manager is an error at the argument; the name is nobody's but ours.
    let span = Span::mixed_site().located_at(argument.to_token_stream().span());
    let manager = Ident::new("manager", span);
    let given = match (plan.argument, body.sig.asyncness) {
        (Some(true), Some(_)) => quote_spanned!(span=> &#manager),
        (Some(false), None) => quote_spanned!(span=> ::core::clone::Clone::clone(#manager)),
        _ => quote!(#manager),
    };
    (quote!(#manager), given)
}
