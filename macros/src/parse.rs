//! The arguments as they are written: names, some with a value.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Lit, LitInt, LitStr, Result, Token};

/// One argument.
pub(crate) struct Setting {
    pub(crate) name: Ident,
    value: Option<Lit>,
}

pub(crate) fn settings(input: ParseStream<'_>) -> Result<Vec<Setting>> {
    Ok(Punctuated::<Setting, Token![,]>::parse_terminated(input)?.into_iter().collect())
}

impl Parse for Setting {
    fn parse(input: ParseStream<'_>) -> Result<Setting> {
        // `crate` is one of them.
        let name = Ident::parse_any(input)?;
        let value = match input.parse::<Option<Token![=]>>()? {
            Some(_) => Some(input.parse()?),
            None => None,
        };
        Ok(Setting { name, value })
    }
}

impl Setting {
    pub(crate) fn span(&self) -> Span {
        self.name.span()
    }

    pub(crate) fn flag(&self) -> Result<()> {
        match &self.value {
            None => Ok(()),
            Some(value) => Err(Error::new_spanned(value, format!("`{}` takes no value", self.name))),
        }
    }

    pub(crate) fn text(&self, example: &str) -> Result<&LitStr> {
        match &self.value {
            Some(Lit::Str(text)) => Ok(text),
            other => {
                Err(self.wrong(other.as_ref(), &format!("a text, as in `{} = \"{example}\"`", self.name)))
            }
        }
    }

    pub(crate) fn number(&self) -> Result<&LitInt> {
        match &self.value {
            Some(Lit::Int(number)) => Ok(number),
            other => Err(self.wrong(other.as_ref(), &format!("a number, as in `{} = 2`", self.name))),
        }
    }

    fn wrong(&self, value: Option<&Lit>, wanted: &str) -> Error {
        let message = format!("`{}` takes {wanted}", self.name);
        value.map_or_else(|| Error::new(self.span(), &message), |value| Error::new_spanned(value, &message))
    }
}
