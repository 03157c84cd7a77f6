//! The example of a program that embeds the service.

#[path = "../../examples/embedded.rs"]
mod example;

#[test]
fn the_example_makes_an_organization_issues_a_key_and_checks_it() {
    example::main().unwrap();
}
