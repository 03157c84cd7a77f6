//! How hashes write bytes and numbers.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::{BCRYPT, STANDARD};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

const EITHER_PADDING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Some implementations left the bits that no byte needs as they came.
const BCRYPTS: GeneralPurpose =
    GeneralPurpose::new(&BCRYPT, general_purpose::NO_PAD.with_decode_allow_trailing_bits(true));

/// Base64 with or without padding. passlib writes `.` for `+`.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    EITHER_PADDING.decode(text.replace('.', "+")).ok()
}

/// The base64 of bcrypt, which has an alphabet of its own.
pub(super) fn bcrypt_base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    BCRYPTS.decode(text).ok()?.try_into().ok()
}

/// Lower-case hexadecimal.
pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).ok()
}

/// A decimal number without sign or needless zeros.
pub(super) fn number(text: &str) -> Option<u32> {
    let value: u32 = text.parse().ok()?;
    let mut plain = String::with_capacity(text.len());
    write!(plain, "{value}").ok()?;
    (plain == text).then_some(value)
}

/// The numbers of `a=1,b=2`, which has exactly these names in any order.
pub(super) fn parameters<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut values = [None; N];
    for parameter in text.split(',') {
        let (name, value) = parameter.split_once('=')?;
        let place = names.iter().position(|known| *known == name)?;
        if values[place].replace(number(value)?).is_some() {
            return None;
        }
    }
    let mut numbers = [0; N];
    for (number, value) in numbers.iter_mut().zip(values) {
        *number = value?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!((number("0"), number("16"), number("4294967295")), (Some(0), Some(16), Some(u32::MAX)));
        for text in ["", "+1", "01", "-1", " 1", "1 ", "4294967296", "x"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_are_all_there_and_no_others() {
        assert_eq!(parameters("m=64,t=2,p=1", ["m", "t", "p"]), Some([64, 2, 1]));
        assert_eq!(parameters("p=1,m=64,t=2", ["m", "t", "p"]), Some([64, 2, 1]));
        for text in ["", "m=64,t=2", "m=64,t=2,p=1,p=1", "m=64,t=2,p=1,data=x", "m=64,t=2,p", "m,t,p"] {
            assert_eq!(parameters(text, ["m", "t", "p"]), None, "{text}");
        }
    }
}
