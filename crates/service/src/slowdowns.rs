//! Failed sign-ins and codes slow down what follows for the same address, and its owner is told.
//!
//! Whoever asks can neither see nor measure whether the address has a user: tries are counted and
//! refused alike, and the same job row is written for its owner; the worker looks whether there is
//! one. A try that has to wait is refused before anything is checked, so that the right password
//! is not told from a wrong one.
//!
//! A [browser that has signed the owner in before](keystead_domain::device) has tries of its own.

use std::time::Duration;

use keystead_domain::id::JobId;
use keystead_domain::limits::{MAILS_DAILY, MAILS_HOURLY};
use keystead_domain::mail::Mail;
use keystead_domain::policy::{Action, TenantScope};
use keystead_domain::slowdown::{Failures, Slowdown};
use keystead_domain::{Email, Timestamp, TokenDigest};
use keystead_storage::jobs::{DueJob, JobKind};
use keystead_storage::{StoreError, TenantTx, devices, jobs, outbox, slowdowns, users};

use crate::budgets::within;
use crate::{Caller, Engine, Result};

/// A try that was counted as failed before it is checked. Whoever has one says what became of it,
/// in the transaction that the outcome belongs to.
pub(crate) struct Try {
    email: Email,
    counted: Counted,
    job: JobId,
}

/// What a try was counted for.
enum Counted {
    /// Nothing: failures slow nothing down.
    Nothing,
    /// The address.
    Address(Slowdown, Failures),
    /// A browser that has signed the address's user in before.
    Device(TokenDigest),
}

/// A try that will be counted in a transaction of the use case's own.
#[derive(Clone)]
pub(crate) struct NextTry {
    email: Email,
    slowdown: Option<Slowdown>,
    device: Option<TokenDigest>,
    job: JobId,
    /// What failed before, when that was last looked at.
    found: Option<Failures>,
}

impl NextTry {
    /// Counts the try, or says how long it has to wait.
    pub(crate) fn take(
        self,
        tx: &mut TenantTx<'_>,
        now: Timestamp,
    ) -> std::result::Result<std::result::Result<Try, Duration>, StoreError> {
        let Self { email, slowdown, device, job, .. } = self;
        let Some(slowdown) = slowdown else { return Ok(Ok(Try { email, counted: Counted::Nothing, job })) };
        if let Some(device) = device
            && devices::take_try(tx, slowdown, &device, &email, now)?
        {
            return Ok(Ok(Try { email, counted: Counted::Device(device), job }));
        }
        Ok(slowdowns::take(tx, slowdown, &email, now)?.map(|failures| Try {
            email,
            counted: Counted::Address(slowdown, failures),
            job,
        }))
    }
}

impl NextTry {
    /// Counts the try with one statement, which is a transaction by itself: of the failures that were looked
    /// at, unless they have changed since. Nothing where they have, or where a browser may have tries of its
    /// own.
    fn take_alone(&self, engine: &Engine, scope: TenantScope, now: Timestamp) -> Result<Option<Try>> {
        let (Some(slowdown), None) = (self.slowdown, self.device) else { return Ok(None) };
        let (found, email) = (self.found, self.email.clone());
        let Ok(failures) = slowdown.take(found.unwrap_or(Failures::none(now)), now) else { return Ok(None) };
        let taken = engine.store.write_alone(move |tx| {
            slowdowns::take_found(&mut tx.tenant(&scope), &email, found.as_ref(), &failures)
        })?;
        let counted = Counted::Address(slowdown, failures);
        Ok(taken.then(|| Try { email: self.email.clone(), counted, job: self.job }))
    }
}

impl Try {
    /// It failed. Where the address's failures begin to cost time, its owner is told.
    pub(crate) fn failed(
        &self,
        tx: &mut TenantTx<'_>,
        now: Timestamp,
    ) -> std::result::Result<(), StoreError> {
        let Counted::Address(slowdown, failures) = &self.counted else { return Ok(()) };
        if slowdown.is_worth_telling(failures.count) && !failures.told && slowdowns::tell(tx, &self.email)? {
            jobs::insert(tx, self.job, JobKind::TellOfFailures, &self.email, now)?;
        }
        Ok(())
    }

    /// It failed, which is to take as long as one that is [given back](Self::give_back).
    pub(crate) fn failed_as_slowly(
        &self,
        tx: &mut TenantTx<'_>,
        now: Timestamp,
    ) -> std::result::Result<(), StoreError> {
        if let Counted::Address(_, failures) = &self.counted {
            slowdowns::keep(tx, &self.email, failures)?;
        }
        self.failed(tx, now)
    }

    /// It succeeded: what failed before is forgotten, of the address or of the browser. Whoever guesses from
    /// elsewhere goes on waiting while the owner's own browser signs in.
    pub(crate) fn succeeded(&self, tx: &mut TenantTx<'_>) -> std::result::Result<(), StoreError> {
        match &self.counted {
            Counted::Nothing => Ok(()),
            Counted::Address(..) => slowdowns::clear(tx, &self.email),
            Counted::Device(device) => devices::give_back(tx, device),
        }
    }

    /// It was not checked, or was right without proving enough to forget what failed before.
    pub(crate) fn give_back(&self, tx: &mut TenantTx<'_>) -> std::result::Result<(), StoreError> {
        match &self.counted {
            Counted::Nothing => Ok(()),
            Counted::Address(_, failures) => slowdowns::give_back(tx, &self.email, failures),
            Counted::Device(device) => devices::give_back(tx, device),
        }
    }
}

impl Engine {
    /// A try for an address, unless it has to wait. That is asked without writing, so that being
    /// refused costs nobody else time; [`NextTry::take`] asks again.
    pub(crate) fn next_try(
        &self,
        caller: &Caller,
        scope: TenantScope,
        email: &Email,
        now: Timestamp,
    ) -> Result<NextTry> {
        let slowdown = self.settings.rate_limits.as_ref().map(|limits| limits.slowdown);
        let device = caller.device().copied();
        let mut found = None;
        if let Some(slowdown) = slowdown {
            found = self.store.look_up(|tx| slowdowns::find(&mut tx.tenant(&scope), email))?;
            let wait = found.map_or(Duration::ZERO, |failures| failures.wait(now));
            let goes_on = match &device {
                Some(device) if wait > Duration::ZERO => self
                    .store
                    .look_up(|tx| devices::has_tries(&mut tx.tenant(&scope), slowdown, device, email, now))?,
                _ => wait == Duration::ZERO,
            };
            if !goes_on {
                return Err(self.too_early(caller.meter(), wait));
            }
        }
        Ok(NextTry { email: email.clone(), slowdown, device, job: JobId::mint(now, &*self.env), found })
    }

    /// Counts a try in a transaction of its own, before a check that takes long.
    pub(crate) fn take_try(
        &self,
        caller: &Caller,
        scope: TenantScope,
        email: &Email,
        now: Timestamp,
    ) -> Result<Try> {
        let next = self.next_try(caller, scope, email, now)?;
        if next.slowdown.is_none() {
            return Ok(Try { email: next.email, counted: Counted::Nothing, job: next.job });
        }
        if let Some(taken) = next.take_alone(self, scope, now)? {
            return Ok(taken);
        }
        let taken = self.store.write(move |tx| next.take(&mut tx.tenant(&scope), now))?;
        taken.map_err(|wait| self.too_early(caller.meter(), wait))
    }
}

/// Tells the owner of an address, within the budget of mails.
pub(crate) fn do_tell(engine: &Engine, job: DueJob) -> Result<()> {
    let scope = Caller::system().allow(Action::HandleEndUsers, job.directory)?;
    let now = engine.env.now();
    let user = engine.store.read(|tx| users::find_by_email(&mut tx.tenant(&scope), &job.email))?;
    let product = engine.product(job.directory)?;
    // To the address on record, not the one that was typed.
    let mail = user.zip(product).map(|((user, _), product)| {
        let mail = engine.compose(&user.email, &Mail::FailedSignIns { product }, now);
        (user.email, mail)
    });
    engine.store.write(move |tx| {
        let mut tenant = tx.tenant(&scope);
        let finished = jobs::finish(&mut tenant, job.id)?;
        let Some((email, mail)) = mail.filter(|_| finished) else { return Ok(()) };
        if within(&mut tenant, &[MAILS_HOURLY, MAILS_DAILY], &email, now)? {
            outbox::insert(&mut tenant, &mail)?;
        }
        Ok(())
    })?;
    Ok(())
}
