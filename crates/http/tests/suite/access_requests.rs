//! `POST /v2/access-requests`.

use keystead_domain::access_request::RequestStatus;
use keystead_service::{Caller, access_requests};
use keystead_testkit::{Keystead, both_backends};
use serde_json::json;

both_backends! {
    fn anybody_may_ask_and_is_answered_the_same(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        // The fourth of a day is one too many for its address, and no answer tells.
        for number in 0..4 {
            let body = json!({"company": "Acme", "contact_email": "ada@example.com", "intended_use": "One\r\ntwo."});
            let answer = keystead.post("/v2/access-requests").json(&body).send();
            assert_eq!(answer.header("cache-control"), "no-store");
            let answer = answer.expect(202);
            let id = answer["request_id"].as_str().unwrap();
            assert!(id.starts_with("req_"), "{number}");
            assert_eq!(answer, json!({"request_id": id, "status": "pending"}));
        }
        let requests = access_requests::list(&keystead.engine, &Caller::host(), Some(RequestStatus::Pending)).unwrap();
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[0].request.intended_use.as_str(), "One\ntwo.");
        keystead.deliver();
        assert!(keystead.mailbox.is_empty(), "nobody is mailed before an operator decided");
    }
}
