//! For Keystead's tests.
pub mod postgres;
