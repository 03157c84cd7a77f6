//! Leaked keys: whoever finds one has it revoked, and learns nothing by it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystead_testkit::{Answer, Keystead, both_backends};
use serde_json::{Value, json};

use crate::people::key;

/// What a SubjectPublicKeyInfo of a point on P-256 begins with.
const SPKI: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

fn report(keystead: &Keystead, body: &Value) -> Answer {
    keystead.post("/v1/leaked-keys").json(body).send()
}

fn works(keystead: &Keystead, key: &str) -> bool {
    keystead.deliver();
    keystead.get("/api/user/me").key(key).send().status == 200
}

/// A scanner's key pair, and its public key as the settings name it.
fn scanner() -> (EcdsaKeyPair, String) {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref()).unwrap();
    let prefix = (0..SPKI.len()).step_by(2).map(|at| u8::from_str_radix(&SPKI[at..at + 2], 16).unwrap());
    let der: Vec<u8> = prefix.chain(pair.public_key().as_ref().iter().copied()).collect();
    (pair, format!("scanner-1:{}", STANDARD.encode(der)))
}

both_backends! {
    fn a_reported_key_is_revoked_and_its_holder_told(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let [one, two] = [(); 2].map(|()| key(&keystead, &ada, &json!({"scopes": ["user:read"]})));
        assert!(works(&keystead, &one) && works(&keystead, &two));
        assert_eq!(report(&keystead, &json!({"keys": [one, "noise", "ks_live_noise"]})).expect(202), json!({"status": "received"}));
        assert!(!works(&keystead, &one) && works(&keystead, &two), "one key, and no other");
        let mails = keystead.mailbox.to("ada@example.com");
        let leaked: Vec<_> = mails.iter().filter(|(subject, _)| subject.contains("leaked")).collect();
        assert_eq!(leaked.len(), 1, "{mails:?}");
        assert!(leaked[0].1.contains(&one[..20]) && !leaked[0].1.contains(&one[..24]), "{}", leaked[0].1);
        report(&keystead, &json!([one, two])).expect(202);
        assert!(!works(&keystead, &two), "a bare list does as well");
    }

    fn what_is_nobodys_key_is_answered_alike(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let ada = keystead.person("Ada");
        let good = key(&keystead, &ada, &json!({}));
        let nobodys = {
            let prefix = keystead_domain::api_key::KeyPrefix::new([7; 6]);
            let random = keystead_domain::Secret::new("0".repeat(26));
            let brand = "ks".parse().unwrap();
            keystead_domain::api_key::KeyText::compose(&brand, keystead_domain::api_key::Environment::Live, prefix, &random)
                .expose().clone()
        };
        let answers = [good, nobodys, "noise".to_owned()].map(|text| report(&keystead, &json!([text])));
        assert!(answers.iter().all(|answer| answer.status == 202 && answer.body == answers[0].body));
        for bad in [json!(null), json!({}), json!([1]), json!({"keys": "x"}), json!([{"type": "x"}])] {
            assert_eq!(report(&keystead, &bad).problem(422), "validation_error", "{bad}");
        }
        let many: Vec<_> = (0..1001).map(|n| n.to_string()).collect();
        assert_eq!(report(&keystead, &json!(many)).problem(422), "validation_error");
    }

    fn a_scanners_report_has_to_be_signed(database: TestDatabase) {
        let (pair, public) = scanner();
        let keystead = Keystead::with(&database, |settings| settings.leak_reporters = vec![public.parse().unwrap()]);
        let ada = keystead.person("Ada");
        let leaked = key(&keystead, &ada, &json!({}));
        let body = json!([{"token": leaked, "type": "keystead_api_key", "url": "https://example.com/x", "source": "content"}]);
        let signature = pair.sign(&SystemRandom::new(), body.to_string().as_bytes()).unwrap();
        let signature = STANDARD.encode(signature.as_ref());
        let send = |identifier: &str, signature: &str| {
            keystead.post("/v1/leaked-keys")
                .header("github-public-key-identifier", identifier)
                .header("github-public-key-signature", signature)
                .json(&body).send()
        };
        assert_eq!(report(&keystead, &body).problem(401), "invalid_signature");
        assert_eq!(send("scanner-2", &signature).problem(401), "invalid_signature");
        assert_eq!(send("scanner-1", "AAAA").problem(401), "invalid_signature");
        assert!(works(&keystead, &leaked));
        send("scanner-1", &signature).expect(202);
        assert!(!works(&keystead, &leaked));
    }

    fn reports_are_limited(database: TestDatabase) {
        let keystead = Keystead::with(&database, |settings| settings.rate_limits = Some(keystead_testkit::rate_limits()));
        let answers: Vec<_> = (0..11).map(|_| report(&keystead, &json!([])).status).collect();
        assert_eq!(answers[9..], [202, 429]);
    }
}
