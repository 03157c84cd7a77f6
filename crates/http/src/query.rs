//! The parameters of a request's query.

use actix_web::HttpRequest;

use crate::body;
use crate::error::Fault;

/// The parameters. None comes twice.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads them, as strictly as a form.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, Fault> {
        let bad = |_| Fault::Malformed("The query cannot be read, or has a parameter twice.".into());
        body::form(request.query_string().as_bytes()).map(Self).map_err(bad)
    }

    /// The parameter of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}
