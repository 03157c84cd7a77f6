//! Turning stored primitives into values, and saying which column is impossible where they are not.

use std::str::FromStr;

use crate::StoreError;

/// Names the row whose columns are being read.
pub(crate) struct Reading<'r> {
    pub(crate) table: &'static str,
    pub(crate) row: &'r str,
}

impl Reading<'_> {
    pub(crate) fn impossible(&self, column: &'static str) -> StoreError {
        StoreError::Impossible { table: self.table, column, row: self.row.to_owned() }
    }

    pub(crate) fn parse<T: FromStr>(&self, column: &'static str, text: &str) -> Result<T, StoreError> {
        text.parse().map_err(|_| self.impossible(column))
    }

    pub(crate) fn parse_some<T: FromStr>(
        &self,
        column: &'static str,
        text: Option<&str>,
    ) -> Result<Option<T>, StoreError> {
        text.map(|text| self.parse(column, text)).transpose()
    }

    pub(crate) fn bytes<const N: usize>(
        &self,
        column: &'static str,
        bytes: &[u8],
    ) -> Result<[u8; N], StoreError> {
        bytes.try_into().map_err(|_| self.impossible(column))
    }
}
