//! [`Setting`], and the macro that makes settings and typed fields from one table.

/// One thing that an operator can set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in `keystead.toml`, sections included: `tokens.prefixes.client_id`.
    pub key: &'static str,
    /// The type that it has in `keystead.toml`.
    pub toml_type: &'static str,
    /// What is in force when nobody sets it, written as in an environment variable.
    pub default: Option<&'static str>,
    /// Whether its value may hold a credential, and is then printed masked or not at all.
    pub secret: bool,
    /// What it decides, in one line with the unit.
    pub what: &'static str,
    /// The values it may have, to complete "must be …".
    pub accepts: &'static str,
}

impl Setting {
    /// The environment variable that sets it: `KEYSTEAD_TOKENS__PREFIXES__CLIENT_ID`.
    pub fn variable(&self) -> String {
        variable_of(self.key)
    }
}

/// The environment variable of a key.
pub(super) fn variable_of(key: &str) -> String {
    format!("KEYSTEAD_{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Makes a struct of settings, and one for each section in it.
///
/// A line of the table is a field: its documentation (which is also `what` of the setting), name,
/// type, default and [`Rule`](super::values::Rule). From the lines of a section come
///
/// - the struct,
/// - for each field a constant of the same name, its [`Setting`], so that nobody else has to spell a
///   key: it is `Config::listen.key`,
/// - `settings`, `read` and `show`, which go through the fields in the order of the table.
///
/// After `where` stands what compares the fields of a section with each other, and after `named` what the operator
/// names, which is in no table.
macro_rules! settings {
    (
        $(#[$about:meta])*
        $Section:ident at $prefix:expr $(, where $check:path)? => {
            $(
                $(#[doc = $what:literal])+
                $name:ident: $type:ty $(= $default:literal)?, $rule:expr;
            )*
            $(
                section $child:ident: $Child:ident $(where $child_check:path)? { $($body:tt)* }
            )*
            $(
                named $named:ident: $Named:ident;
            )?
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $Section {
            $(
                $(#[doc = $what])+
                pub $name: $type,
            )*
            $(
                #[doc = concat!("The settings under `", $prefix, stringify!($child), "`.")]
                pub $child: $Child,
            )*
            $(
                /// What has names of the operator's own.
                pub $named: $Named,
            )?
        }

        #[allow(non_upper_case_globals, reason = "a constant is named as the field it describes")]
        impl $Section {
            $(
                #[doc = concat!("The setting `", $prefix, stringify!($name), "`.")]
                pub const $name: Setting = Setting {
                    key: concat!($prefix, stringify!($name)),
                    toml_type: <$type as Value>::TOML_TYPE,
                    default: settings!(@default $($default)?),
                    secret: <$type as Value>::SECRET,
                    what: concat!($($what),+).trim_ascii(),
                    accepts: { let rule: Rule<$type> = $rule; rule.accepts },
                };
            )*

            fn settings() -> impl Iterator<Item = &'static Setting> {
                const OWN: &[Setting] = &[$($Section::$name),*];
                OWN.iter()$(.chain($Child::settings()))*
            }

            /// Reads every field before giving up on one, so that all problems are found at once.
            fn read(reader: &mut Reader) -> Option<Self> {
                $(let $name: Option<$type> = reader.read(&Self::$name, $rule);)*
                $(let $child = $Child::read(reader);)*
                $(let $named = $Named::read(reader);)?
                let section = Self { $($name: $name?,)* $($child: $child?,)* $($named: $named?,)? };
                $($check(&section, reader);)?
                Some(section)
            }

            fn show(&self) -> impl Iterator<Item = (Cow<'static, str>, Option<String>)> {
                let own = vec![$((Cow::Borrowed(Self::$name.key), self.$name.show())),*];
                own.into_iter()$(.chain(self.$child.show()))*$(.chain(self.$named.show()))?
            }
        }

        $(
            settings! {
                #[doc = concat!("The settings under `", $prefix, stringify!($child), "`.")]
                $Child at concat!($prefix, stringify!($child), ".") $(, where $child_check)? => {
                    $($body)*
                }
            }
        )*
    };

    (@default) => { None };
    (@default $default:literal) => { Some(concat!($default)) };
}

pub(super) use settings;
