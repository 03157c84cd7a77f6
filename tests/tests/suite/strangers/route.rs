//! The routes of the OpenAPI document, and where in them ids stand.

use keystead_testkit::{Call, Keystead};
use serde_json::Value;

use super::world;

/// The end user's session: the document has it among the credentials, and not among the parameters.
pub(super) const SESSION: &str = "X-Session-Token";

/// What no stranger has: what mailed links end in, and the report of a key that is signed.
const OUT_OF_REACH: [(&str, &str); 4] = [
    ("POST /api/user/invites/{token}/accept", "token"),
    ("POST /api/auth/reset-password", "token"),
    ("GET /api/auth/verify-email", "token"),
    ("POST /v1/leaked-keys", "token"),
];

/// Where in a request an id stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum In {
    Path,
    Query,
    Header,
    Body,
}

/// A place in a request that names something.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) is_in: In,
    /// What it is called; in a body, the last of the members that lead to it.
    pub(super) name: String,
    /// Where it is in a body (RFC 6901).
    pointer: String,
}

/// A route that carries an id.
pub(super) struct Route {
    /// Its method and path.
    pub(super) name: String,
    pub(super) places: Vec<Place>,
    media: Option<String>,
}

impl Route {
    pub(super) fn path(&self) -> &str {
        self.name.split_once(' ').unwrap().1
    }

    /// Whether it answers everybody alike, whatever there is: there is nothing to tell apart.
    pub(super) fn is_mute(&self) -> bool {
        ["POST /api/auth/revoke-session", "POST /v1/leaked-keys"].contains(&&*self.name)
    }

    /// Whether somebody who may do it has to do something else first.
    pub(super) fn wants_more(&self) -> bool {
        let second_factor = ["totp/confirm", "totp/disable", "recovery-codes"];
        second_factor.iter().any(|end| self.path().ends_with(end))
    }

    /// Whether it reads a body.
    pub(super) const fn has_body(&self) -> bool {
        self.media.is_some()
    }

    /// The request, with this in its places and nothing in the others.
    pub(super) fn call(&self, keystead: &Keystead, filled: &[(&Place, String)]) -> Call {
        let (method, pattern) = self.name.split_once(' ').unwrap();
        let (mut path, mut query, mut body) = (pattern.to_owned(), Vec::new(), world::body(self));
        let mut headers = Vec::new();
        for (place, value) in filled {
            match place.is_in {
                In::Path => path = path.replace(&format!("{{{}}}", place.name), value),
                In::Query => query.push(format!("{}={value}", place.name)),
                In::Header => headers.push((place.name.clone(), value.clone())),
                In::Body => place.put(&mut body, value),
            }
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let mut call = keystead.request(method, &path).header("idempotency-key", world::once());
        for (name, value) in headers {
            call = call.header(&name, value);
        }
        match self.media.as_deref() {
            None => call,
            Some("application/json") => call.json(&body),
            Some(_) => {
                let pairs = body.as_object().unwrap().iter();
                let pairs: Vec<_> =
                    pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect();
                call.form(&pairs.join("&"))
            }
        }
    }
}

impl Place {
    fn put(&self, body: &mut Value, value: &str) {
        let (parent, member) = self.pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap_or_else(|| panic!("the body has no {parent}"));
        let value = if member == "keys" { Value::from([value].as_slice()) } else { value.into() };
        parent.as_object_mut().unwrap().insert(member.to_owned(), value);
    }
}

/// Whether what is called so names something that there is or is not.
fn is_id(name: &str) -> bool {
    const NAMES: [&str; 6] = ["id", "token", "keys", "actor", "cursor", "organizationSlug"];
    if name == "client_id" {
        // Everybody may know an app's; it proves nothing without the secret.
        return false;
    }
    let ends = ["Id", "_id", "-Id", "Ids", "_ids", "IdOrEmail"].iter().any(|end| name.ends_with(end));
    ends || NAMES.contains(&name)
}

/// All that carry one.
pub(super) fn with_ids(document: &Value) -> Vec<Route> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    });
    let routes = operations.map(|(name, operation)| {
        let media = operation["requestBody"]["content"].as_object();
        let media = media.and_then(|content| content.keys().next_back().cloned());
        let places = places(document, operation);
        let places = places.into_iter().filter(|place| !OUT_OF_REACH.contains(&(&*name, &*place.name)));
        Route { places: places.collect(), name, media }
    });
    routes.filter(|route| !route.places.is_empty()).collect()
}

fn places(document: &Value, operation: &Value) -> Vec<Place> {
    let mut places = Vec::new();
    let place = |is_in, name: &str, pointer: String| Place { is_in, name: name.to_owned(), pointer };
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let is_in = match parameter["in"].as_str().unwrap() {
            "path" => In::Path,
            "query" => In::Query,
            "header" => In::Header,
            other => panic!("a parameter in the {other}"),
        };
        if is_in == In::Path || is_id(name) {
            places.push(place(is_in, name, String::new()));
        }
    }
    if operation["security"].to_string().contains(r#""session""#) {
        places.push(place(In::Header, SESSION, String::new()));
    }
    for media in
        operation["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values())
    {
        let mut members = Vec::new();
        collect(document, &media["schema"], "", &mut members);
        for pointer in members {
            let name = pointer.rsplit('/').next().unwrap().to_owned();
            let known = places.iter().any(|place| place.pointer == pointer);
            if is_id(&name) && !known {
                places.push(place(In::Body, &name, pointer));
            }
        }
    }
    places
}

/// Where the members of a schema are, however deep; of an array, in its first element.
fn collect(document: &Value, schema: &Value, at: &str, members: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        return collect(document, document.pointer(&name[1..]).unwrap(), at, members);
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        for one in schema[choice].as_array().into_iter().flatten() {
            collect(document, one, at, members);
        }
    }
    if schema["items"].is_object() {
        collect(document, &schema["items"], &format!("{at}/0"), members);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}/{name}");
        members.push(at.clone());
        collect(document, property, &at, members);
    }
}
