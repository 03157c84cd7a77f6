//! Health.

use keystead_testkit::{Keystead, both_backends};
use serde_json::json;

both_backends! {
    fn a_server_with_its_database_is_live_and_ready(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        for path in ["/health/live", "/health/ready"] {
            assert_eq!(keystead.get(path).send().expect(200), json!({"status": "ok"}));
            assert_eq!(keystead.request("HEAD", path).send().status, 200);
        }
    }
}
