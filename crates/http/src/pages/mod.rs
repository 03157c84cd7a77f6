//! Pages for people. They are HTML that works without JavaScript and by keyboard; nothing in them
//! comes from another server. Errors are pages too.

mod access_requests;
mod addresses;
mod claims;
pub(crate) mod form;
mod invites;
mod layout;
mod resets;
mod verification;

use actix_web::HttpRequest;
use actix_web::web::ServiceConfig;

pub(crate) use layout::page;

/// Where a page is. There are no other places than those below, so none is missing from [`PAGES`].
#[derive(Clone, Copy)]
pub(crate) struct PagePath(&'static str);

impl PagePath {
    pub(crate) const fn as_str(self) -> &'static str {
        self.0
    }
}

macro_rules! pages {
    ($($name:ident = $path:literal;)*) => {
        impl PagePath {
            $(pub(crate) const $name: Self = Self($path);)*
        }

        /// The paths of all pages. Each shows something on `GET` and takes its form on `POST`. They are
        /// for people, and not in the OpenAPI document.
        pub const PAGES: &[&str] = &[$($path),*];
    };
}

pages! {
    REQUEST_ACCESS = "/request-access";
    CLAIM = "/claim/{token}";
    INVITE = "/invite/{token}";
    CONFIRM_ADDRESS = "/confirm-address/{token}";
    RESTORE_ADDRESS = "/restore-address/{token}";
    VERIFY = "/verify/{token}";
    RESET = "/reset/{token}";
}

/// Where the link that was followed says that its page leads on to.
fn onward(request: &HttpRequest) -> Option<String> {
    let mut pairs = form_urlencoded::parse(request.query_string().as_bytes());
    pairs.find(|(name, _)| name == "callbackURL").map(|(_, url)| url.into_owned())
}

pub(crate) fn routes(cfg: &mut ServiceConfig) {
    access_requests::routes(cfg);
    addresses::routes(cfg);
    claims::routes(cfg);
    resets::routes(cfg);
    verification::routes(cfg);
    invites::routes(cfg);
}
