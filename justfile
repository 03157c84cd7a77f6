# Each recipe is one command that works by itself, from this folder, without just.

# Lists the recipes
default:
    @just --list

# Runs Keystead with a demo tenant, app and user, and prints commands to paste
run:
    cargo run --release -- serve --demo

# Shows the configuration in force, and where each value comes from
config:
    cargo run --release -- config show

# Compiles everything, the tests included, without running any of it
check:
    cargo check --workspace --all-targets

# Formats the code
fmt:
    cargo fmt --all

# Lints as CI does
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Runs all tests, those on PostgreSQL where there is one
test:
    cargo test --workspace

# Runs all tests, and fails without PostgreSQL, a mail server and the other programs that they want
test-both:
    KEYSTEAD_TEST_REQUIRE_POSTGRES=1 KEYSTEAD_TEST_REQUIRE_SMTP=1 KEYSTEAD_TEST_REQUIRE_TOOLS=1 cargo test --workspace

# Checks the licences of the dependencies, and that the server links no library of the machine
licences:
    cargo test --package keystead-tests licences::

# Lists what the server is made of
dependencies:
    cargo tree --package keystead-server --edges normal,build

# Builds the documentation of the crates, and opens it
doc:
    cargo doc --workspace --no-deps --open

# Builds the binary: target/release/keystead
build:
    cargo build --release

# Measures what is promised about speed, and prints a table: docs/performance.md
bench *ARGUMENTS:
    cargo run --release --package keystead-bench -- {{ARGUMENTS}}

# Does all that CI does
ci:
    bash .ci/run
