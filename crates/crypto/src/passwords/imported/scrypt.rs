//! scrypt (RFC 7914), as others write it:
//!
//! | who | form |
//! |---|---|
//! | PHC, passlib | `$scrypt$ln=16,r=8,p=1$salt$hash` |
//! | Werkzeug | `scrypt:32768:8:1$salt$hash`, the salt as text, the hash in hexadecimal |
//! | Django | `scrypt$16384$salt$8$5$hash`, the salt as text |

use scrypt::Params;

use super::encoding::{base64, hex, number, parameters};
use super::{MAX_OUTPUT, MAX_SALT, MIN_OUTPUT, NotAHash, Unusable};

/// What a check may take: 128 MiB, and as much time as four runs with that.
const MAX_MEMORY: u64 = 128 << 20;
const MAX_WORK: u64 = 4 * MAX_MEMORY;
const BLOCK: u64 = 128;
const MALFORMED: Unusable = Unusable::Malformed("scrypt");

#[derive(Clone)]
pub(super) struct ScryptHash {
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl ScryptHash {
    /// Reads what stands behind `$scrypt$`.
    pub(super) fn parse_modular(rest: &str) -> Result<Self, Unusable> {
        let [costs, salt, output] = rest.split('$').collect::<Vec<_>>()[..] else { return Err(MALFORMED) };
        let [log_n, r, p] = parameters(costs, ["ln", "r", "p"]).ok_or(MALFORMED)?;
        Self::new(log_n, r, p, base64(salt), base64(output))
    }

    /// Reads `scrypt:32768:8:1` and what stands behind its `$`.
    pub(super) fn parse_werkzeug(kind: &str, rest: &str) -> Result<Self, Unusable> {
        let [_, n, r, p] = kind.split(':').collect::<Vec<_>>()[..] else { return Err(MALFORMED) };
        let (salt, output) = rest.split_once('$').ok_or(MALFORMED)?;
        Self::with_n(n, r, p, salt, hex(output))
    }

    /// Reads what stands behind `scrypt$`.
    pub(super) fn parse_django(rest: &str) -> Result<Self, Unusable> {
        let [n, salt, r, p, output] = rest.split('$').collect::<Vec<_>>()[..] else { return Err(MALFORMED) };
        Self::with_n(n, r, p, salt, base64(output))
    }

    fn with_n(n: &str, r: &str, p: &str, salt: &str, output: Option<Vec<u8>>) -> Result<Self, Unusable> {
        let n = number(n).filter(|n| n.is_power_of_two()).ok_or(MALFORMED)?;
        let (r, p) = number(r).zip(number(p)).ok_or(MALFORMED)?;
        Self::new(n.trailing_zeros(), r, p, Some(salt.as_bytes().to_vec()), output)
    }

    fn new(
        log_n: u32,
        r: u32,
        p: u32,
        salt: Option<Vec<u8>>,
        output: Option<Vec<u8>>,
    ) -> Result<Self, Unusable> {
        if log_n == 0 || r == 0 || p == 0 {
            return Err(MALFORMED);
        }
        let product =
            |factors: &[u64]| factors.iter().try_fold(BLOCK, |product, &factor| product.checked_mul(factor));
        let (n, r_, p_) = (1_u64.checked_shl(log_n).unwrap_or(u64::MAX), u64::from(r), u64::from(p));
        let fits = |factors: &[u64], most| product(factors).is_some_and(|product| product <= most);
        if !fits(&[n, r_], MAX_MEMORY) || !fits(&[n, r_, p_], MAX_WORK) {
            return Err(Unusable::TooCostly("128 MiB (N times r 1048576), N times r times p 4194304"));
        }
        let (salt, output) = salt.zip(output).ok_or(MALFORMED)?;
        if !(1..=MAX_SALT).contains(&salt.len()) || !(MIN_OUTPUT..=MAX_OUTPUT).contains(&output.len()) {
            return Err(MALFORMED);
        }
        let log_n = u8::try_from(log_n).map_err(|_| MALFORMED)?;
        let params = Params::new(log_n, r, p).map_err(|_| MALFORMED)?;
        Ok(Self { params, salt, output })
    }

    pub(super) fn compute(&self, password: &[u8]) -> Result<Vec<u8>, NotAHash> {
        let mut output = vec![0; self.output.len()];
        scrypt::scrypt(password, &self.salt, &self.params, &mut output).map_err(|_| NotAHash)?;
        Ok(output)
    }

    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{are_of_the_password, check, refused};
    use super::super::{Unusable, Verdict};

    /// By passlib 1.7, Werkzeug 3.1 and Django 5.2.
    #[test]
    fn hashes_of_other_implementations_are_checked() {
        are_of_the_password(&[
            "$scrypt$ln=4,r=8,p=2$9T7HuJfS+p9TihFiLOXcOw$q3ZhG3SWmyEju8kNxYuPAZ4lUtCS5JYx1CUV6LGhU/o",
            "scrypt:16:8:2$LXO0qZmGpKt8VDxJ$2b6d18b0e1fa58dacc87319656deab644d8ac7d481d788d9fc5f8df9bf48287d84fd9bd6f0960eaa823ff40ec6a5391efbb63577c4fd6d7fdf290902d476a523",
            "scrypt$16$NaClNaCl$8$2$f7s5t0JfZWFNaLK9lhiUCzEgeW/ifxQzFpW1ZcQm+h3/ImkWr1SmccQZ3nFKw/5YxK5ILYbUug/jvCXuEBG1dg==",
        ]);
    }

    /// RFC 7914 §12, the second: N = 1024, r = 8, p = 16.
    #[test]
    fn the_rfcs_vector() {
        let hash = "scrypt:1024:8:16$NaCl$fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640";
        assert_eq!(check(hash, "password"), Verdict::Right { rehash: true });
    }

    #[test]
    fn what_costs_too_much_or_is_not_whole_is_refused() {
        let output = "ab".repeat(32);
        for costs in
            ["262144:8:1", "131072:16:1", "131072:8:5", "2147483648:4294967295:4294967295", "2:4294967295:1"]
        {
            let text = format!("scrypt:{costs}$salt${output}");
            assert!(matches!(refused(&text), Unusable::TooCostly(_)), "{text}");
        }
        let modular = |log_n| {
            refused(&format!(
                "$scrypt$ln={log_n},r=8,p=1$9T7HuJfS$q3ZhG3SWmyEju8kNxYuPAZ4lUtCS5JYx1CUV6LGhU/o"
            ))
        };
        for log_n in ["18", "63", "64", "255", "4294967295"] {
            assert!(matches!(modular(log_n), Unusable::TooCostly(_)), "{log_n}");
        }
        assert_eq!(modular("0"), Unusable::Malformed("scrypt"));
        for text in [
            format!("scrypt:1000:8:1$salt${output}"),
            format!("scrypt:0:8:1$salt${output}"),
            format!("scrypt:1:8:1$salt${output}"),
            format!("scrypt:16:0:1$salt${output}"),
            format!("scrypt:16:8:0$salt${output}"),
            format!("scrypt:16:8$salt${output}"),
            format!("scrypt:16:8:1$${output}"),
            "scrypt:16:8:1$salt$".to_owned(),
            "scrypt:16:8:1$salt".to_owned(),
            "scrypt$16$salt$8$q3ZhG3SWmyEju8kNxYuPAZ4lUtCS5JYx1CUV6LGhU/o".to_owned(),
        ] {
            assert_eq!(refused(&text), Unusable::Malformed("scrypt"), "{text}");
        }
    }
}
