//! The attribute behind `#[castoff::test]`: parse, check, expand.
//!
//! It knows nothing of castoff but paths in `castoff::testing`. What it refuses, it refuses at the token that is wrong.

mod check;
mod expand;
mod parse;

use proc_macro::TokenStream;
use syn::{ItemFn, parse_macro_input};

#[allow(missing_docs)] // documented where castoff exports it
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let settings = parse_macro_input!(arguments with parse::settings);
    let function = parse_macro_input!(item as ItemFn);
    match check::check(settings, &function) {
        Ok(plan) => expand::expand(&plan, function).into(),
        Err(error) => {
            // The function stays as it is, so that nothing else is missing because of this.
            let error = error.into_compile_error();
            quote::quote!(#error #[allow(dead_code)] #function).into()
        }
    }
}
