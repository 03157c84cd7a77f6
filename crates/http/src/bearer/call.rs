//! A call of the bearer API: an API key, and the organization that it acts in. Cookies are not read.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use keystead_domain::id::TenantId;
use keystead_domain::idempotency::IdempotencyKey;
use keystead_domain::plan::Feature;
use keystead_domain::policy::{Denied, PersonPrincipal, Standing};
use keystead_domain::{Owner, TokenDigest};
use keystead_service::{Caller, Engine};

use crate::body::{self, Body, Fields, JsonBody, LIMIT};
use crate::credentials::Field;
use crate::error::{BearerError, Fault};
use crate::person::{self, Shown};
use crate::{credentials, engine};

/// A call by a person's script.
pub(crate) struct KeyCall<B: Body = ()> {
    pub(crate) caller: Caller,
    /// The organization that it acts in.
    pub(crate) tenant: TenantId,
    pub(crate) body: B::Parsed,
    pub(crate) engine: Data<Engine>,
}

/// A call that makes something, once however often it is sent.
pub(crate) struct PostCall<B: JsonBody> {
    pub(crate) caller: Caller,
    /// The organization that it acts in.
    pub(crate) tenant: TenantId,
    pub(crate) body: B::Command,
    pub(crate) path: String,
    pub(crate) key: IdempotencyKey,
    /// The SHA-256 of the body as it was sent.
    pub(crate) digest: TokenDigest,
    pub(crate) engine: Data<Engine>,
}

impl<B: Body> KeyCall<B> {
    /// The person.
    pub(crate) fn person(&self) -> Result<&PersonPrincipal, Denied> {
        self.caller.as_person()
    }

    /// What the person is in the organization.
    pub(crate) fn standing(&self) -> Result<&Standing, Denied> {
        self.person()?.standing(self.tenant).ok_or(Denied::NotAMember)
    }

    /// Whose rows the call is about.
    pub(crate) const fn owner(&self) -> Owner {
        Owner::Tenant(self.tenant)
    }
}

async fn authenticate(request: &HttpRequest, engine: &Data<Engine>) -> Result<Caller, BearerError> {
    match person::by_header(request, engine).await? {
        Shown::Person(caller, _) => Ok(caller),
        Shown::NoToken | Shown::Nothing => Err(Fault::NoCredential.into()),
    }
}

/// The organization that the call acts in, whose plan opens the surface.
fn tenant(request: &HttpRequest, engine: &Engine, caller: &Caller) -> Result<TenantId, BearerError> {
    let person = caller.as_person()?;
    let asked = credentials::organization(request)?;
    let tenant = person.acts_in(asked)?.tenant.id;
    person.require(Feature::ApiAccess, tenant).map_err(|_| {
        let smallest = engine.settings().plans.smallest_with(Feature::ApiAccess);
        BearerError::Plan {
            feature: Feature::ApiAccess.as_str(),
            required: smallest.map(|plan| plan.name.to_string()),
        }
    })?;
    Ok(tenant)
}

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, BearerError>>>>;

impl<B: Body + 'static> FromRequest for KeyCall<B> {
    type Error = BearerError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let engine = engine(&request)?;
            let caller = authenticate(&request, &engine).await?;
            let tenant = tenant(&request, &engine, &caller)?;
            let body = B::read(&request, &mut payload, LIMIT).await?;
            Ok(Self { caller, tenant, body, engine })
        })
    }
}

impl<B: JsonBody + 'static> FromRequest for PostCall<B> {
    type Error = BearerError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let engine = engine(&request)?;
            let caller = authenticate(&request, &engine).await?;
            let tenant = tenant(&request, &engine, &caller)?;
            let key = idempotency_key(&request)?;
            let (body, digest) = body::digested::<B>(&request, &mut payload, LIMIT).await?;
            let path = request.path().to_owned();
            Ok(Self { caller, tenant, body, path, key, digest, engine })
        })
    }
}

const IDEMPOTENCY_KEY: Field = Field::new("idempotency-key", "Idempotency-Key");

/// What the caller calls what it wants done once.
fn idempotency_key(request: &HttpRequest) -> Result<IdempotencyKey, BearerError> {
    let mut fields = Fields::default();
    // Two, or one that is not ASCII, are none that could be recognized.
    let key = credentials::single(request, &IDEMPOTENCY_KEY).unwrap_or_default();
    let key = fields.required("Idempotency-Key", key);
    Ok(fields.finish(key)?)
}
