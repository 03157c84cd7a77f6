//! Tenants and their slugs.

use keystead_service::tenants::{NewTenant, create, list, show};
use keystead_service::{Caller, Code};
use keystead_testkit::{Keystead, both_backends};

use crate::steps::refusal;

fn named(name: &str, slug: Option<&str>) -> NewTenant {
    NewTenant {
        name: name.parse().unwrap(),
        slug: slug.map(|slug| slug.parse().unwrap()),
        plan: None,
        entity_hotkey: None,
    }
}

both_backends! {
    fn a_derived_slug_gets_a_suffix_where_a_given_one_is_a_conflict(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let host = Caller::host();
        let first = create(&keystead.engine, &host, named("Acme, Inc.", None)).unwrap();
        assert_eq!(first.slug.as_str(), "acme-inc");
        let second = create(&keystead.engine, &host, named("Acme Inc", None)).unwrap();
        assert!(second.slug.as_str().starts_with("acme-inc-"), "{}", second.slug);
        let taken = create(&keystead.engine, &host, named("Third", Some("acme-inc")));
        assert_eq!(refusal(taken), Code::Conflict);
        assert_eq!(list(&keystead.engine, &host).unwrap().len(), 2, "a refusal leaves nothing behind");
        assert_eq!(show(&keystead.engine, &host, &first.slug).unwrap().id, first.id);
        assert_eq!(refusal(show(&keystead.engine, &host, &"nobody".parse().unwrap())), Code::NotFound);
    }

    fn an_app_can_do_nothing_to_the_deployment(database: TestDatabase) {
        let keystead = Keystead::on(&database);
        let app = keystead.caller(&keystead.tenant("Acme"));
        assert!(create(&keystead.engine, &app, named("Mine", None)).is_err());
        assert!(list(&keystead.engine, &app).is_err());
        assert!(keystead_service::apps::list(&keystead.engine, &app).is_err());
    }
}
