//! An API that takes the API keys and access tokens of a Keystead.
//!
//! Make it an app that may ask about every tenant's credentials, and give it what that prints:
//!
//! ```sh
//! keystead app create --platform --name 'Protected API' --introspect platform
//! KEYSTEAD_URL=http://127.0.0.1:8000 KEYSTEAD_CLIENT_ID=ksc_… KEYSTEAD_CLIENT_SECRET=kss_… LISTEN=127.0.0.1:9000 \
//!     cargo run -p keystead-guard --example protected_api
//! curl http://127.0.0.1:9000/v1/agents -H "X-Api-Key: $KEY"
//! ```

use std::error::Error;

use actix_web::web::{self, Json};
use actix_web::{App, HttpResponse, HttpServer, get};
use keystead_guard::{CredentialKind, Guard, Refusal, Role, Verified};
use serde_json::{Value, json};

/// For everybody whose credential carries `read`.
#[get("/v1/agents")]
async fn agents(caller: Verified) -> Result<Json<Value>, Refusal> {
    caller.require_scope("read")?;
    Ok(Json(json!({"data": [{"name": "Scout"}, {"name": "Scribe"}], "caller": caller.subject})))
}

/// For managers and above, in organizations whose plan includes it. An access token carries neither role nor plan: it
/// needs the scope.
#[get("/api/v1/clients")]
async fn clients(caller: Verified) -> Result<Json<Value>, Refusal> {
    match caller.kind {
        CredentialKind::ApiKey => {
            caller.require_plan(&["studio", "agency"])?;
            caller.require_role(Role::Manager)?;
        }
        CredentialKind::AccessToken => caller.require_scope("read")?,
        CredentialKind::Session => return Err(Refusal::WrongKind),
    }
    let organization = caller.organization.as_ref().map(|organization| organization.id.to_string());
    Ok(Json(json!({"data": [{"name": "Initech"}], "organization": organization})))
}

async fn nothing_here() -> HttpResponse {
    HttpResponse::NotFound()
        .json(json!({"error": {"code": "not_found", "message": "There is nothing here."}}))
}

/// Serves until the process is told to stop, as the variables say.
pub(crate) async fn serve(variable: impl Fn(&str) -> Option<String>) -> Result<(), Box<dyn Error>> {
    let required = |name: &str| variable(name).ok_or_else(|| format!("{name} is not set"));
    let (url, id) = (required("KEYSTEAD_URL")?, required("KEYSTEAD_CLIENT_ID")?);
    let guard = Guard::builder(url, id, required("KEYSTEAD_CLIENT_SECRET")?).build()?;
    let app = move || {
        let app = App::new().app_data(guard.clone());
        app.service(agents).service(clients).default_service(web::to(nothing_here))
    };
    let listen = variable("LISTEN").unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    Ok(HttpServer::new(app).workers(2).bind(listen)?.run().await?)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    serve(|name| std::env::var(name).ok()).await
}
