//! What the documents list is what there is.

use keystead_service::Code;

#[test]
fn every_code_is_documented() {
    let document = include_str!("../../../docs/http-status.md");
    for code in Code::ALL {
        assert!(document.contains(&format!("`{}`", code.as_str())), "{}", code.as_str());
    }
}
