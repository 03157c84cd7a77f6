//! Spending budgets.

use keystead_domain::limits::{Budget, MAILS_DAILY, MAILS_HOURLY};
use keystead_domain::{Email, Timestamp};
use keystead_storage::{StoreError, TenantTx, counters};

/// How many mails of any kind an address gets.
pub(crate) const MAILS: [Budget; 2] = [MAILS_HOURLY, MAILS_DAILY];

/// Counts one more of each for this address; whether all budgets had room.
pub(crate) fn within(
    tx: &mut TenantTx<'_>,
    budgets: &[Budget],
    email: &Email,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if let Ok(three) = budgets.try_into() {
        return counters::take_three(tx, three, email.key(), now);
    }
    for budget in budgets {
        if !counters::take(tx, *budget, email.key(), now)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes back what [`within`] counted at `now`, where nothing is sent after all.
pub(crate) fn give_back(
    tx: &mut TenantTx<'_>,
    budgets: &[Budget],
    email: &Email,
    now: Timestamp,
) -> Result<(), StoreError> {
    budgets.iter().try_for_each(|budget| counters::give_back(tx, *budget, email.key(), now))
}
