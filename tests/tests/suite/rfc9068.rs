//! RFC 9068: our access tokens, read and checked by hand as a resource server would that has
//! nothing of ours but the JWKS; and RFC 8725: the same checks on our side.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_testkit::{Keystead, TestDatabase};
use serde_json::{Value, json};

fn decode(segment: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(segment).unwrap()
}

fn parts(token: &str) -> (Value, Value, Vec<u8>, String) {
    let segments: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = segments[..] else { panic!("{token}") };
    let json = |segment| serde_json::from_slice(&decode(segment)).unwrap();
    (json(header), json(claims), decode(signature), format!("{header}.{claims}"))
}

#[test]
fn a_resource_server_can_check_a_token_with_the_jwks_alone() {
    let database = TestDatabase::sqlite();
    let keystead = Keystead::on(&database);
    let acme = keystead.tenant("Acme");
    let token = keystead.token(&acme.client_id, &acme.client_secret);
    let (header, claims, signature, message) = parts(&token);

    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")), "§2.1");
    let keys = keystead.get("/.well-known/jwks.json").send().expect(200);
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let public = decode(key["x"].as_str().unwrap());
    UnparsedPublicKey::new(&ED25519, public).verify(message.as_bytes(), &signature).unwrap();

    let now = keystead.now().as_unix_seconds();
    assert_eq!(claims["iss"], "https://id.test", "§2.2");
    assert_eq!(claims["aud"], "https://id.test");
    assert_eq!(claims["sub"], json!(acme.client_id), "the client itself, for client credentials");
    assert_eq!(claims["client_id"], json!(acme.client_id));
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + 3600)));
    assert_eq!(claims["scope"], "api", "§2.2.3");
    assert_eq!(claims["tenant_id"], json!(acme.tenant.id.to_string()));
    assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() >= 16));
    let (_, again, ..) = parts(&keystead.token(&acme.client_id, &acme.client_secret));
    assert_ne!(claims["jti"], again["jti"]);
}

#[test]
fn tokens_that_we_did_not_sign_as_they_are_get_nowhere() {
    let database = TestDatabase::sqlite();
    let keystead = Keystead::on(&database);
    let acme = keystead.tenant("Acme");
    let token = keystead.token(&acme.client_id, &acme.client_secret);
    let (header, claims, signature, _) = parts(&token);
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = URL_SAFE_NO_PAD.encode(signature);
    let with = |base: &Value, member: &str, value: Value| {
        let mut changed = base.clone();
        changed[member] = value;
        encode(&changed)
    };
    let (h, c) = (encode(&header), encode(&claims));
    for forged in [
        format!("{}.{c}.", with(&header, "alg", json!("none"))),
        format!("{}.{c}.{signature}", with(&header, "alg", json!("none"))),
        format!("{}.{c}.{signature}", with(&header, "alg", json!("HS256"))),
        format!("{}.{c}.{signature}", with(&header, "kid", json!("../../etc/passwd"))),
        format!("{h}.{}.{signature}", with(&claims, "exp", json!(9_999_999_999_i64))),
        format!("{h}.{}.{signature}", with(&claims, "scope", json!("admin"))),
        format!("{h}.{}.{signature}", with(&claims, "client_id", json!("ksc_other"))),
        format!("{h}.{c}"),
        format!("{h}.{c}.{signature}."),
        format!("{h}.{c}.{signature}="),
        format!(" {token}"),
        "..".to_owned(),
        ".".repeat(10_000),
    ] {
        let answer = keystead.get("/v2/apps/me").bearer(&forged).send();
        if answer.status == 200 {
            // White space before the token is no part of it (RFC 9110 §11.4).
            assert!(forged.starts_with(' '), "{forged}");
        } else {
            assert_eq!(answer.problem(401), "invalid_token", "{forged}");
        }
    }
}
