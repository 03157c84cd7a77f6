//! Services that rely on Keystead: what they ask about credentials that they were shown.

use super::walk::Walk;

/// Introspection and forward-auth, about the key of a person and the token of the app.
pub(super) fn ask(walk: &mut Walk) {
    let (id, secret) = walk.app.clone();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for shown in [walk.access_token.clone(), walk.key.clone(), walk.session.clone(), "nonsense".to_owned()] {
        let body = format!("client_id={id}&client_secret={secret}&token={shown}");
        let told = walk.ask("POST /oauth/introspect", "/oauth/introspect", &form, &body).json();
        assert!(told["active"].is_boolean());
    }
    let (key, bearer) = (walk.key.clone(), format!("Bearer {}", walk.access_token));
    let cookie = walk.cookie.clone();
    for (path, headers, expected) in [
        ("/forward-auth", &[("x-api-key", key.as_str())][..], 200),
        ("/forward-auth?scope=api", &[("authorization", bearer.as_str())], 200),
        ("/forward-auth?cookie=1", &[("cookie", cookie.as_str())], 200),
        ("/forward-auth?scope=moon", &[("x-api-key", key.as_str())], 403),
        ("/forward-auth?canary", &[("authorization", bearer.as_str())], 403),
        ("/forward-auth", &[("x-api-key", bearer.as_str())], 401),
    ] {
        assert_eq!(walk.ask("GET /forward-auth", path, headers, "").status, expected, "{path}");
    }
}
