//! Spending budgets.

use keystead_domain::limits::Budget;
use keystead_domain::{Email, Timestamp};
use keystead_storage::{StoreError, TenantTx, counters};

/// Counts one more of each for this address; whether all budgets had room.
pub(crate) fn within(
    tx: &mut TenantTx<'_>,
    budgets: &[Budget],
    email: &Email,
    now: Timestamp,
) -> Result<bool, StoreError> {
    for budget in budgets {
        if !counters::take(tx, *budget, email.key(), now)? {
            return Ok(false);
        }
    }
    Ok(true)
}
